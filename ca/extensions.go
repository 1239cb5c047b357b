package ca

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The object identifiers are functions, because a slice in a variable could be
// modified.

func oidTemplate() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2} }
func oidUPN() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
}
func oidSIDExtension() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}
}
func oidSID() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2, 1} }
func oidEFS() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 4}
}
func oidEmailProtection() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}
}
func oidClientAuth() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
}
func oidServerAuth() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
}
func oidOCSPSigning() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}
}
func oidExtKeyUsage() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 37} }
func oidKeyUsage() asn1.ObjectIdentifier    { return asn1.ObjectIdentifier{2, 5, 29, 15} }
func oidSAN() asn1.ObjectIdentifier         { return asn1.ObjectIdentifier{2, 5, 29, 17} }
func oidSKI() asn1.ObjectIdentifier         { return asn1.ObjectIdentifier{2, 5, 29, 14} }
func oidAKI() asn1.ObjectIdentifier         { return asn1.ObjectIdentifier{2, 5, 29, 35} }
func oidCDP() asn1.ObjectIdentifier         { return asn1.ObjectIdentifier{2, 5, 29, 31} }
func oidAIA() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}
}
func oidBasicConstraints() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 19} }
func oidCommonName() asn1.ObjectIdentifier       { return asn1.ObjectIdentifier{2, 5, 4, 3} }

// contextTag makes a constructed context-specific tag.
func contextTag(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }

// userSAN builds the subject alternative name: the UPN as otherName, by which domain
// controllers find the account, and rfc822Name if there is a mail address.
func userSAN(s Subject) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidUPN())
			b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
				b.AddASN1(der.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.UPN)) })
			})
		})
		if s.Mail != "" {
			b.AddASN1(der.Tag(1).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.Mail)) })
		}
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: oidSAN(), Value: value}, wrap("encoding subject alternative name", err)
}

// sidExtension builds the szOID_NTDS_CA_SECURITY_EXT of MS-WCCE 2.2.2.7.7.4.
// It is encoded as GeneralNames: the otherName has the implicit tag [0], its value
// is an OCTET STRING within an explicit [0]. It is not critical, because only
// Windows knows it.
func sidExtension(sid string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidSID())
			b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte(sid)) })
		})
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: oidSIDExtension(), Value: value}, wrap("encoding SID extension", err)
}

// templateExtension builds the template name of a version 1 template, a
// BMPString as AD CS writes it.
func templateExtension(name string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.Tag(30), func(b *cryptobyte.Builder) {
		for _, unit := range utf16.Encode([]rune(name)) {
			b.AddUint16(unit)
		}
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: oidTemplate(), Value: value}, wrap("encoding template name", err)
}

// usageExtension builds extKeyUsage in the given order; crypto/x509 would put
// usages that it does not know, such as EFS, after the others.
func usageExtension(usages []asn1.ObjectIdentifier) (pkix.Extension, error) {
	value, err := asn1.Marshal(usages)
	return pkix.Extension{Id: oidExtKeyUsage(), Value: value}, wrap("encoding extended key usage", err)
}

// keyIdentifier is method 1 of RFC 7093 section 2: the leftmost 160 bits of the
// SHA-256 of the key's bits.
func keyIdentifier(spki []byte) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return nil, fmt.Errorf("parsing public key: %w", err)
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20], nil
}

// keyIdentifierOf is keyIdentifier for a key that is not yet encoded.
func keyIdentifierOf(pub any) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encoding public key: %w", err)
	}
	return keyIdentifier(spki)
}

// wrap adds the operation to an error, if there is one.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// pemCertificate encodes a certificate in PEM, as all certificate files.
func pemCertificate(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
