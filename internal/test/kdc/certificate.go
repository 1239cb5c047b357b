package kdc

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of PKINIT (RFC 4556).
func oidKDC() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 2, 3, 5} } // id-pkinit-KPKdc
func oidSAN() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 2, 2} }    // id-pkinit-san

// template is the certificate of a KDC: clients want its usage, and the ticket-granting
// service of the realm among its names (RFC 4556 section 3.2.4).
func template(realm string) (*x509.Certificate, error) {
	name, err := alternativeName(realm)
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test KDC"}, KeyUsage: x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidKDC()},
		ExtraExtensions:    []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: name}},
	}, err
}

// alternativeName encodes krbtgt/REALM@REALM as KRB5PrincipalName (RFC 4556 section
// 3.2.2) in a subjectAltName.
func alternativeName(realm string) ([]byte, error) {
	tagged := func(b *cryptobyte.Builder, n uint8, add cryptobyte.BuilderContinuation) {
		b.AddASN1(der.Tag(n).ContextSpecific().Constructed(), add)
	}
	general := func(b *cryptobyte.Builder, text string) {
		b.AddASN1(der.GeneralString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
	}
	principal := func(b *cryptobyte.Builder) {
		tagged(b, 0, func(b *cryptobyte.Builder) { b.AddASN1Int64(2) }) // NT-SRV-INST
		tagged(b, 1, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				general(b, "krbtgt")
				general(b, realm)
			})
		})
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		tagged(b, 0, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidSAN())
			tagged(b, 0, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					tagged(b, 0, func(b *cryptobyte.Builder) { general(b, realm) })
					tagged(b, 1, func(b *cryptobyte.Builder) { b.AddASN1(der.SEQUENCE, principal) })
				})
			})
		})
	})
	return b.Bytes()
}
