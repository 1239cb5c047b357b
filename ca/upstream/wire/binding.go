package wire

import (
	"crypto"
	"crypto/md5"
	"crypto/x509"
	"encoding/binary"
	"fmt"
)

// serverEndPoint makes the channel binding of a TLS server by its certificate: the MD5 of
// gss_channel_bindings_struct (MS-NLMP section 2.2.2.1, RFC 4121 section 4.1.1.2) with
// tls-server-end-point (RFC 5929 section 4.1). Certificates whose signature has no hash of
// its own, such as Ed25519, are refused: the RFC leaves their binding open.
func serverEndPoint(cert *x509.Certificate) ([]byte, error) {
	var hash crypto.Hash
	switch cert.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256, x509.DSAWithSHA256:
		hash = crypto.SHA256 // in the place of MD5 and SHA-1 too
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	default:
		return nil, fmt.Errorf("binding to the server: signature %s of its certificate has no channel binding", cert.SignatureAlgorithm)
	}
	h := hash.New()
	h.Write(cert.Raw)
	return channel(h.Sum(nil)), nil
}

func channel(hash []byte) []byte {
	data := append([]byte("tls-server-end-point:"), hash...)
	b := make([]byte, 16) // no addresses of client and server
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	sum := md5.Sum(append(b, data...))
	return sum[:]
}
