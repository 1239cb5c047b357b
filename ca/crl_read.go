package ca

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// PublishedCRL is a parsed CRL. Its entries are not copied: a list of a million takes
// no more memory than its DER.
type PublishedCRL struct {
	Number      Serial
	Base        Serial // of the complete list that a delta list adds to; zero in a complete one
	ThisUpdate  time.Time
	NextUpdate  time.Time
	NextPublish time.Time // zero when absent
	Extensions  []string  // the extensions in printable text

	entries cryptobyte.String
}

// errCRL means that the octets are no CRL of the kind that this package signs.
var errCRL = errors.New("not a whole revocation list")

// ReadCRL parses a CRL in DER and verifies its signature. It refuses a CRL that is
// truncated, not signed by the CA, or has an unknown critical extension.
func ReadCRL(raw []byte, signer *x509.Certificate) (*PublishedCRL, error) {
	kind, err := KindOf(signer.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("reading revocation list: %w", err)
	}
	input := cryptobyte.String(raw)
	var list, tbs, algorithm cryptobyte.String
	var signature []byte
	if !input.ReadASN1(&list, der.SEQUENCE) || !input.Empty() || !list.ReadASN1Element(&tbs, der.SEQUENCE) ||
		!list.ReadASN1Element(&algorithm, der.SEQUENCE) || !list.ReadASN1BitStringAsBytes(&signature) || !list.Empty() {
		return nil, fmt.Errorf("reading revocation list: %w", errCRL)
	}
	if string(algorithm) != string(kind.signing().der) {
		return nil, errors.New("reading revocation list: it is signed in a way this CA does not sign")
	}
	if err := verify(signer, kind, tbs, signature); err != nil {
		return nil, fmt.Errorf("reading revocation list: %w", err)
	}
	crl := new(PublishedCRL)
	if err := crl.readTBS(tbs); err != nil {
		return nil, fmt.Errorf("reading revocation list: %w", err)
	}
	return crl, nil
}

func (c *PublishedCRL) readTBS(tbs cryptobyte.String) error {
	var body, wrapped, extensions cryptobyte.String
	var version int
	if !tbs.ReadASN1(&body, der.SEQUENCE) || !body.ReadASN1Integer(&version) || version != 1 ||
		!body.SkipASN1(der.SEQUENCE) || !body.SkipASN1(der.SEQUENCE) ||
		!readListTime(&body, &c.ThisUpdate) || !readListTime(&body, &c.NextUpdate) {
		return errCRL
	}
	if !body.ReadOptionalASN1(&c.entries, nil, der.SEQUENCE) || !body.ReadASN1(&wrapped, contextTag(0)) || !body.Empty() ||
		!wrapped.ReadASN1(&extensions, der.SEQUENCE) || !wrapped.Empty() {
		return errCRL
	}
	for !extensions.Empty() {
		if err := c.readExtension(&extensions); err != nil {
			return err
		}
	}
	if c.Number.IsZero() {
		return errors.New("it has no number")
	}
	return nil
}

func (c *PublishedCRL) readExtension(extensions *cryptobyte.String) error {
	var extension, value cryptobyte.String
	var id asn1.ObjectIdentifier
	var critical bool
	if !extensions.ReadASN1(&extension, der.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&id) ||
		!readCritical(&extension, &critical) || !extension.ReadASN1(&value, der.OCTET_STRING) || !extension.Empty() {
		return errCRL
	}
	fine := true
	switch {
	case id.Equal(oidCRLNumber()):
		c.Number, fine = readListNumber(&value)
		c.addExtension("CRL number " + c.Number.Big().String())
	case id.Equal(oidDelta()):
		c.Base, fine = readListNumber(&value)
		c.addExtension("delta list to number " + c.Base.Big().String())
	case id.Equal(oidNextPublish()):
		fine = readListTime(&value, &c.NextPublish)
		c.addExtension("next publication at " + c.NextPublish.UTC().Format(time.RFC3339))
	case id.Equal(oidAKI()):
		c.addExtension("authority key identifier")
	case id.Equal(oidFreshest()):
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

// readCritical reads the critical field, which DER omits when it is false.
func readCritical(extension *cryptobyte.String, critical *bool) bool {
	return !extension.PeekASN1Tag(der.BOOLEAN) || extension.ReadASN1Boolean(critical)
}

func readListNumber(value *cryptobyte.String) (Serial, bool) {
	number := new(big.Int)
	if !value.ReadASN1Integer(number) {
		return Serial{}, false
	}
	serial, err := SerialOf(number)
	return serial, err == nil
}

// readListTime reads either form of a time (RFC 5280 section 5.1.2.4).
func readListTime(value *cryptobyte.String, at *time.Time) bool {
	if value.PeekASN1Tag(der.UTCTime) {
		return value.ReadASN1UTCTime(at)
	}
	return value.ReadASN1GeneralizedTime(at)
}

// Revoked iterates over the entries. An error ends the iteration.
func (c *PublishedCRL) Revoked() iter.Seq2[Revocation, error] {
	return func(yield func(Revocation, error) bool) {
		rest := c.entries
		for !rest.Empty() {
			r, err := readEntry(&rest)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func readEntry(entries *cryptobyte.String) (Revocation, error) {
	var entry, extensions cryptobyte.String
	var r Revocation
	var ok bool
	if !entries.ReadASN1(&entry, der.SEQUENCE) {
		return r, errCRL
	}
	if r.Serial, ok = readListNumber(&entry); !ok || !readListTime(&entry, &r.At) {
		return r, errCRL
	}
	if entry.Empty() {
		return r, nil
	}
	var wrapped, value cryptobyte.String
	var id asn1.ObjectIdentifier
	var critical bool
	if !entry.ReadASN1(&extensions, der.SEQUENCE) || !extensions.ReadASN1(&wrapped, der.SEQUENCE) ||
		!wrapped.ReadASN1ObjectIdentifier(&id) || !readCritical(&wrapped, &critical) ||
		!wrapped.ReadASN1(&value, der.OCTET_STRING) {
		return r, errCRL
	}
	if id.Equal(asn1.ObjectIdentifier{2, 5, 29, 21}) && !value.ReadASN1Enum(&r.Reason) {
		return r, errCRL
	}
	return r, nil
}

// Count gives the number of entries, and an error when one cannot be read.
func (c *PublishedCRL) Count() (int, error) {
	count := 0
	for _, err := range c.Revoked() {
		if err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}
