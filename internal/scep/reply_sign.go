package scep

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"
)

// failure returns the response to a refused request (RFC 8894 section 3.3.2.2): signed
// attributes without content.
func (ra *registrationAuthority) failure(m message, info wire.FailInfo) ([]byte, error) {
	return ra.reply(m, nil, pkcs7.Attribute{Type: oidStatus(), Value: string(wire.FAILURE)},
		pkcs7.Attribute{Type: oidFailInfo(), Value: string(info)})
}

// success returns the response with the certificate, encrypted to the device, because
// the connection may be plain http and the certificate has a person's name.
func (ra *registrationAuthority) success(m message, algorithm asn1.ObjectIdentifier, cert *x509.Certificate) ([]byte, error) {
	bundle, err := pkcs7.DegenerateCertificate(cert.Raw)
	if err != nil {
		return nil, fmt.Errorf("bundling certificate: %w", err)
	}
	encrypted, err := encryptFor(m.signer, algorithm, bundle)
	if err != nil {
		return nil, err
	}
	return ra.reply(m, encrypted, pkcs7.Attribute{Type: oidStatus(), Value: string(wire.SUCCESS)})
}

// reply signs a CertRep with SHA-256; the library's default is SHA-1.
func (ra *registrationAuthority) reply(m message, content []byte, more ...pkcs7.Attribute) ([]byte, error) {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("making nonce: %w", err)
	}
	signed, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, fmt.Errorf("encoding response: %w", err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	attributes := append([]pkcs7.Attribute{
		{Type: oidTransaction(), Value: asn1.RawValue{FullBytes: m.transaction.FullBytes}},
		{Type: oidMessageType(), Value: string(wire.CertRep)},
		{Type: oidSenderNonce(), Value: nonce},
		{Type: oidRecipientNonce(), Value: m.nonce},
	}, more...)
	err = signed.AddSigner(ra.cert, ra.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: attributes})
	if err != nil {
		return nil, fmt.Errorf("signing response: %w", err)
	}
	// The library names the hash here again and leaves out the parameters. RFC 3370 section
	// 3.2 wants rsaEncryption with NULL, which is what older devices know.
	signed.GetSignedData().SignerInfos[0].DigestEncryptionAlgorithm = pkix.AlgorithmIdentifier{
		Algorithm: pkcs7.OIDEncryptionAlgorithmRSA, Parameters: asn1.NullRawValue,
	}
	if content == nil {
		signed.Detach()
	}
	return signed.Finish()
}
