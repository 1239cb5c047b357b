package ca

import (
	"bytes"
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
	Delta       bool   // it adds to a complete list
	ThisUpdate  time.Time
	NextUpdate  time.Time
	NextPublish time.Time // zero when absent
	Extensions  []string  // the extensions in printable text

	Scope    *CRLScope           // what it covers; nil: every certificate of its CA
	Freshest []DistributionPoint // where its delta list is

	// Algorithm is set by [ReadForeignCRL].
	Algorithm x509.SignatureAlgorithm

	entries cryptobyte.String
	issuer  []byte // name in DER
	keyID   []byte // of the key that signed; nil when it is not said
	seen    []string
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
	list, err := splitCRL(raw)
	if err != nil {
		return nil, fmt.Errorf("reading revocation list: %w", err)
	}
	if string(list.algorithm) != string(kind.signing().der) {
		return nil, errors.New("reading revocation list: it is signed in a way this CA does not sign")
	}
	if err := verify(signer, kind, list.tbs, list.signature); err != nil {
		return nil, fmt.Errorf("reading revocation list: %w", err)
	}
	crl := new(PublishedCRL)
	if err := crl.readTBS(list); err != nil {
		return nil, fmt.Errorf("reading revocation list: %w", err)
	}
	switch {
	case crl.Number.IsZero():
		return nil, errors.New("reading revocation list: it has no number")
	case crl.Scope != nil:
		return nil, errors.New("reading revocation list: it covers only some certificates")
	}
	return crl, nil
}

// crlParts is a CertificateList in its three parts (RFC 5280 section 5.1).
type crlParts struct {
	tbs, algorithm cryptobyte.String
	signature      []byte
}

func splitCRL(raw []byte) (crlParts, error) {
	input := cryptobyte.String(raw)
	var list cryptobyte.String
	var s crlParts
	if !input.ReadASN1(&list, der.SEQUENCE) || !input.Empty() || !list.ReadASN1Element(&s.tbs, der.SEQUENCE) ||
		!list.ReadASN1Element(&s.algorithm, der.SEQUENCE) || !list.ReadASN1BitStringAsBytes(&s.signature) || !list.Empty() {
		return s, errCRL
	}
	return s, nil
}

// readTBS reads a list of version 2. One of version 1 has no extensions, hence no number.
func (c *PublishedCRL) readTBS(list crlParts) error {
	var body, algorithm, issuer, wrapped, extensions cryptobyte.String
	var there bool
	version := 0
	tbs := list.tbs
	if !tbs.ReadASN1(&body, der.SEQUENCE) || body.PeekASN1Tag(der.INTEGER) && (!body.ReadASN1Integer(&version) || version != 1) ||
		!body.ReadASN1Element(&algorithm, der.SEQUENCE) || !bytes.Equal(algorithm, list.algorithm) || !body.ReadASN1Element(&issuer, der.SEQUENCE) || !readListTime(&body, &c.ThisUpdate) {
		return errCRL
	}
	if !body.PeekASN1Tag(der.UTCTime) && !body.PeekASN1Tag(der.GeneralizedTime) {
		return errors.New("it does not say when the next list comes (nextUpdate)")
	}
	c.issuer = issuer
	if !readListTime(&body, &c.NextUpdate) || !body.ReadOptionalASN1(&c.entries, nil, der.SEQUENCE) ||
		!body.ReadOptionalASN1(&wrapped, &there, contextTag(0)) || !body.Empty() || there && version == 0 {
		return errCRL
	}
	if there && (!wrapped.ReadASN1(&extensions, der.SEQUENCE) || !wrapped.Empty()) {
		return errCRL
	}
	for !extensions.Empty() {
		if err := c.readExtension(&extensions); err != nil {
			return err
		}
	}
	return nil
}

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
	var entry cryptobyte.String
	var r Revocation
	var ok bool
	if !entries.ReadASN1(&entry, der.SEQUENCE) {
		return r, errCRL
	}
	if r.Serial, ok = readListNumber(&entry); !ok {
		return r, errCRL
	}
	return r, r.readRest(&entry)
}

// readRest reads time and extensions of an entry. An extension that is critical and not
// known forbids the use of the list (RFC 5280 section 5.3).
func (r *Revocation) readRest(entry *cryptobyte.String) error {
	var extensions cryptobyte.String
	if !readListTime(entry, &r.At) {
		return errCRL
	}
	if entry.Empty() {
		return nil
	}
	if !entry.ReadASN1(&extensions, der.SEQUENCE) || !entry.Empty() {
		return errCRL
	}
	for !extensions.Empty() {
		var wrapped, value cryptobyte.String
		var id asn1.ObjectIdentifier
		var critical bool
		if !extensions.ReadASN1(&wrapped, der.SEQUENCE) || !wrapped.ReadASN1ObjectIdentifier(&id) ||
			!readCritical(&wrapped, &critical) || !wrapped.ReadASN1(&value, der.OCTET_STRING) || !wrapped.Empty() {
			return errCRL
		}
		switch {
		case id.Equal(oidReason()):
			if !value.ReadASN1Enum(&r.Reason) {
				return errCRL
			}
		case critical:
			return fmt.Errorf("an entry has the critical extension %s", id)
		}
	}
	return nil
}

// Find looks for a serial, which may be one that this package would not issue. It reads
// every entry, and returns an error when one cannot be read.
func (c *PublishedCRL) Find(serial *big.Int) (*Revocation, error) {
	var found *Revocation
	var b cryptobyte.Builder
	b.AddASN1BigInt(serial)
	wanted, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("looking for a serial: %w", err)
	}
	err = c.each(func(number cryptobyte.String, r Revocation) {
		if found == nil && bytes.Equal(number, wanted) {
			found = &Revocation{At: r.At, Reason: r.Reason}
			found.Serial, _ = SerialOf(serial) // zero for one of more than 20 octets
		}
	})
	return found, err
}

// Select gives the entries of the serials that are wanted. It passes over serials that no
// certificate may have, reads every entry, and returns an error when one cannot be read.
func (c *PublishedCRL) Select(wanted func(Serial) bool) ([]Revocation, error) {
	var found []Revocation
	err := c.each(func(number cryptobyte.String, r Revocation) {
		var octets cryptobyte.String
		if !number.ReadASN1(&octets, der.INTEGER) {
			return
		}
		digits := bytes.TrimLeft(octets, "\x00")
		if len(digits) == 0 || len(digits) > maxSerialOctets || octets[0]&0x80 != 0 {
			return
		}
		r.Serial.length = uint8(copy(r.Serial.octets[:], digits))
		if wanted(r.Serial) {
			found = append(found, r)
		}
	})
	return found, err
}

// each reads every entry. see gets the serial as an INTEGER in DER.
func (c *PublishedCRL) each(see func(number cryptobyte.String, r Revocation)) error {
	for rest := c.entries; !rest.Empty(); {
		var entry, number cryptobyte.String
		var r Revocation
		if !rest.ReadASN1(&entry, der.SEQUENCE) || !entry.ReadASN1Element(&number, der.INTEGER) {
			return errCRL
		}
		if err := r.readRest(&entry); err != nil {
			return err
		}
		see(number, r)
	}
	return nil
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
