package ocsp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // what almost every client names certificates with
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/ca"
)

// The contents octets of object identifiers in DER.
const (
	oidSHA1   = "\x2b\x0e\x03\x02\x1a"
	oidSHA256 = "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
	oidSHA384 = "\x60\x86\x48\x01\x65\x03\x04\x02\x02"
	oidSHA512 = "\x60\x86\x48\x01\x65\x03\x04\x02\x03"

	oidBasic      = "\x2b\x06\x01\x05\x05\x07\x30\x01\x01" // id-pkix-ocsp-basic
	oidNonce      = "\x2b\x06\x01\x05\x05\x07\x30\x01\x02" // id-pkix-ocsp-nonce
	oidAcceptable = "\x2b\x06\x01\x05\x05\x07\x30\x01\x04" // id-pkix-ocsp-response
	oidPreferred  = "\x2b\x06\x01\x05\x05\x07\x30\x01\x08" // id-pkix-ocsp-pref-sig-algs
)

// known reports whether an extension may be critical. The nonce is processed; the other
// two are satisfied anyway, because every answer is basic and every client accepts its
// signature algorithm.
func known(oid []byte) bool {
	switch string(oid) {
	case oidNonce, oidAcceptable, oidPreferred:
		return true
	}
	return false
}

// hashOf gives the hash of an identifier, or 0.
func hashOf(oid []byte) crypto.Hash {
	for _, h := range hashes() {
		if oidOf(h) == string(oid) {
			return h
		}
	}
	return 0
}

// hashes gives the hashes that a CertID may use.
func hashes() [4]crypto.Hash {
	return [...]crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512}
}

func oidOf(h crypto.Hash) string {
	switch h {
	case crypto.SHA1:
		return oidSHA1
	case crypto.SHA256:
		return oidSHA256
	case crypto.SHA384:
		return oidSHA384
	case crypto.SHA512:
		return oidSHA512
	}
	return ""
}

// issuer is the CA as requests name it: the hashes of its name and key.
type issuer struct {
	names, keys map[crypto.Hash][]byte
}

func newIssuer(cert *x509.Certificate) (issuer, error) {
	i := issuer{map[crypto.Hash][]byte{}, map[crypto.Hash][]byte{}}
	bits, err := keyBits(cert)
	if err != nil {
		return i, fmt.Errorf("reading key of the issuing CA: %w", err)
	}
	for _, h := range hashes() {
		i.names[h], i.keys[h] = sum(h, cert.RawSubject), sum(h, bits)
	}
	return i, nil
}

// issued reports whether an ID names a certificate of this CA.
func (i issuer) issued(id ID) bool {
	return id.Hash != 0 && bytes.Equal(id.NameHash, i.names[id.Hash]) && bytes.Equal(id.KeyHash, i.keys[id.Hash])
}

// asked makes the ID by which clients of a form name a certificate of this CA.
func (i issuer) asked(f form, serial ca.Serial) (ID, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oidOf(f.hash))) })
			if f.null {
				b.AddASN1(der.NULL, func(*cryptobyte.Builder) {})
			}
		})
		b.AddASN1OctetString(i.names[f.hash])
		b.AddASN1OctetString(i.keys[f.hash])
		b.AddASN1BigInt(serial.Big())
	})
	raw, err := b.Bytes()
	return ID{Hash: f.hash, NameHash: i.names[f.hash], KeyHash: i.keys[f.hash], Serial: serial, form: f, raw: raw}, err
}

// keyBits gives the public key of a certificate as OCSP hashes it: the BIT STRING without
// tag, length, number of unused bits and algorithm (RFC 6960 section 4.1.1).
func keyBits(cert *x509.Certificate) ([]byte, error) {
	in := cryptobyte.String(cert.RawSubjectPublicKeyInfo)
	var info, algorithm cryptobyte.String
	var bits []byte
	if !in.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1(&algorithm, der.SEQUENCE) || !info.ReadASN1BitStringAsBytes(&bits) {
		return nil, fmt.Errorf("public key of %s is not in DER", cert.Subject)
	}
	return bits, nil
}

func sum(h crypto.Hash, data []byte) []byte {
	digest := h.New()
	digest.Write(data)
	return digest.Sum(nil)
}
