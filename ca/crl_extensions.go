package ca

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of CRL extensions. The last is Microsoft's szOID_CRL_NEXT_PUBLISH:
// the time, before nextUpdate, from which Windows tries to fetch the next list.
func oidCRLNumber() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 20} }
func oidDelta() asn1.ObjectIdentifier     { return asn1.ObjectIdentifier{2, 5, 29, 27} }
func oidScope() asn1.ObjectIdentifier     { return asn1.ObjectIdentifier{2, 5, 29, 28} }
func oidReason() asn1.ObjectIdentifier    { return asn1.ObjectIdentifier{2, 5, 29, 21} }
func oidFreshest() asn1.ObjectIdentifier  { return asn1.ObjectIdentifier{2, 5, 29, 46} }
func oidNextPublish() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 4}
}

// checkExtensions refuses settings that contradict each other in the extensions.
func (c *CRLConfig) checkExtensions(number Serial) error {
	if !c.NextPublish.IsZero() && (c.NextPublish.Before(c.ThisUpdate) || c.NextPublish.After(c.NextUpdate)) {
		return fmt.Errorf("next publication at %s is outside the life of the list", c.NextPublish.Format(time.RFC3339))
	}
	for _, address := range c.Freshest {
		if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "ldap:///") {
			return errors.New("an address of the delta list begins with neither http:// nor ldap:///")
		}
	}
	if c.Base == nil {
		return nil
	}
	base, err := SerialOf(c.Base)
	if err != nil || base.Compare(number) >= 0 {
		return errors.New("the list that this one adds to has no lower number")
	}
	if len(c.Freshest) > 0 {
		return errors.New("a delta list names the address of a delta list (RFC 5280 section 5.2.6)")
	}
	return nil
}

// listExtensions encodes authority key identifier and CRL number, which RFC 5280
// section 5.2 demands of every CRL, and what the configuration asks for.
func (i *Issuer) listExtensions(cfg CRLConfig, number Serial) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			listExtension(b, oidAKI(), false, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(der.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(i.cert.SubjectKeyId) })
				})
			})
			listExtension(b, oidCRLNumber(), false, func(b *cryptobyte.Builder) { b.AddASN1BigInt(number.Big()) })
			if cfg.Base != nil {
				// Critical: a client that read a delta list as a complete one would accept revoked certificates.
				listExtension(b, oidDelta(), true, func(b *cryptobyte.Builder) { b.AddASN1BigInt(cfg.Base) })
			}
			if len(cfg.Freshest) > 0 {
				listExtension(b, oidFreshest(), false, func(b *cryptobyte.Builder) { addDistributionPoint(b, cfg.Freshest) })
			}
			if !cfg.NextPublish.IsZero() {
				listExtension(b, oidNextPublish(), false, func(b *cryptobyte.Builder) { addTime(b, cfg.NextPublish) })
			}
		})
	})
	return b.Bytes()
}

func listExtension(b *cryptobyte.Builder, id asn1.ObjectIdentifier, critical bool, value func(*cryptobyte.Builder)) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(der.OCTET_STRING, value)
	})
}

// addDistributionPoint writes one distribution point with several addresses (RFC
// 5280 section 4.2.1.13), which all lead to the same list.
func addDistributionPoint(b *cryptobyte.Builder, addresses []string) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
				b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
					for _, address := range addresses {
						b.AddASN1(der.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(address)) })
					}
				})
			})
		})
	})
}

func (c *PublishedCRL) readExtension(extensions *cryptobyte.String) error {
	var extension, value cryptobyte.String
	var id asn1.ObjectIdentifier
	var critical bool
	if !extensions.ReadASN1(&extension, der.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&id) ||
		!readCritical(&extension, &critical) || !extension.ReadASN1(&value, der.OCTET_STRING) || !extension.Empty() {
		return errCRL
	}
	if slices.Contains(c.seen, id.String()) {
		return fmt.Errorf("it has the extension %s twice", id)
	}
	c.seen = append(c.seen, id.String())
	fine := true
	switch {
	case id.Equal(oidCRLNumber()):
		c.Number, fine = readCRLNumber(&value)
		c.addExtension("CRL number " + c.Number.Big().String())
	case id.Equal(oidDelta()):
		c.Delta = true
		c.Base, fine = readCRLNumber(&value)
		c.addExtension("delta list to number " + c.Base.Big().String())
	case id.Equal(oidScope()):
		c.Scope, fine = readScope(value)
		c.addExtension("issuing distribution point")
	case id.Equal(oidNextPublish()):
		fine = readListTime(&value, &c.NextPublish)
		c.addExtension("next publication at " + c.NextPublish.UTC().Format(time.RFC3339))
	case id.Equal(oidAKI()):
		c.keyID, fine = readKeyID(value)
		c.addExtension("authority key identifier")
	case id.Equal(oidFreshest()):
		c.Freshest, fine = readDistributionPoints(value)
		c.addExtension("address of the delta list")
	case critical:
		return fmt.Errorf("it has the critical extension %s", id)
	}
	if !fine {
		return errCRL
	}
	return nil
}

func (c *PublishedCRL) addExtension(what string) { c.Extensions = append(c.Extensions, what) }

// readCRLNumber reads a number, which may be zero in the first list of some CAs.
func readCRLNumber(value *cryptobyte.String) (Serial, bool) {
	number := new(big.Int)
	if !value.ReadASN1Integer(number) || !value.Empty() || number.Sign() < 0 {
		return Serial{}, false
	}
	serial, err := SerialOf(number)
	return serial, err == nil || number.Sign() == 0
}

// readKeyID reads the keyIdentifier of an AuthorityKeyIdentifier (RFC 5280 section
// 4.2.1.1), nil when it has none.
func readKeyID(value cryptobyte.String) ([]byte, bool) {
	var fields, id cryptobyte.String
	var there bool
	if !value.ReadASN1(&fields, der.SEQUENCE) || !value.Empty() ||
		!fields.ReadOptionalASN1(&id, &there, der.Tag(0).ContextSpecific()) {
		return nil, false
	}
	return id, true
}
