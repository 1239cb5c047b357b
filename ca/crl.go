package ca

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// ClockSkew is the difference between two clocks that is tolerated: between the portal
// and its clients, and between replicas.
const ClockSkew = 5 * time.Minute

// RevokedAt gives the revocation date that CRLs and OCSP answers state for a recorded
// moment. It is that moment, in every list and answer, also when thisUpdate of the list is
// backdated to before it. A moment further ahead of now than [ClockSkew] is of a wrong
// clock: it becomes now, because clients that compare it with their own clock would accept
// the certificate until then.
func RevokedAt(recorded, now time.Time) time.Time {
	if recorded.After(now.Add(ClockSkew)) {
		return now
	}
	return recorded
}

// Revocation is one entry of a CRL.
type Revocation struct {
	Serial Serial
	At     time.Time // whole seconds count
	Reason int       // RFC 5280 section 5.3.1: 0 unspecified, 1, 2, 3, 4, 5, 9 or 10
}

// CRLConfig is the content of one CRL.
type CRLConfig struct {
	// Number is positive, has at most 20 octets, and must be greater than that
	// of every earlier CRL, which the caller ensures.
	Number     *big.Int
	ThisUpdate time.Time
	NextUpdate time.Time // after ThisUpdate

	// Base makes this a delta list: it is the number of the complete list that it
	// adds to, below its own (RFC 5280 section 5.2.4). Optional.
	Base *big.Int

	// NextPublish is when the next list of this kind is expected, before
	// NextUpdate. Windows tries to fetch it from then on. Optional.
	NextPublish time.Time

	// Freshest are the addresses of the delta list, in a complete one (RFC 5280
	// section 5.2.6). Optional.
	Freshest []string

	// Revoked may come in any order. It is not changed; if it is not sorted by
	// serial it is copied.
	Revoked []Revocation
}

// lintedEntries bounds the entries that zlint reads. Its parser needs about a
// kilobyte for each, and a million would take too long. The other entries are
// checked by Revocation.check and encoded by the same function.
const lintedEntries = 1000

// CRL makes a complete or a delta CRL in DER (RFC 5280 section 5). It runs the lints
// before it signs, and verifies the signature.
//
// The error is a [*LintError] or names the invalid entry: a duplicate serial, a time
// too far after ThisUpdate, or a reason that makes the revocation temporary.
func (i *Issuer) CRL(cfg CRLConfig) ([]byte, error) {
	number, revoked, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("building CRL %s: %w", number, err)
	}
	sample := revoked[:min(len(revoked), lintedEntries)]
	// The lints read a CRL signed with the throwaway key, as for a certificate.
	linted, err := i.listTBS(cfg, number, sample)
	if err != nil {
		return nil, fmt.Errorf("building CRL %s: %w", number, err)
	}
	signature, err := sign(i.lintKey, i.kind, linted.tbs())
	if err != nil {
		return nil, fmt.Errorf("signing CRL %s for lints: %w", number, err)
	}
	if err := i.lints.list(i.assemble(linted, signature)); err != nil {
		return nil, fmt.Errorf("linting CRL %s: %w", number, err)
	}
	tbs := linted
	if len(sample) < len(revoked) {
		if tbs, err = i.listTBS(cfg, number, revoked); err != nil {
			return nil, fmt.Errorf("building CRL %s: %w", number, err)
		}
	}
	if signature, err = sign(i.signer, i.kind, tbs.tbs()); err != nil {
		return nil, fmt.Errorf("signing CRL %s: %w", number, err)
	}
	if err := verify(i.cert, i.kind, tbs.tbs(), signature); err != nil {
		return nil, fmt.Errorf("checking signature of CRL %s: %w", number, err)
	}
	return i.assemble(tbs, signature), nil
}

// check validates the configuration and sorts the entries by serial, so that two
// builds are equal.
func (c *CRLConfig) check() (Serial, []Revocation, error) {
	// A CRL number obeys the bounds of a serial number (RFC 5280 section 5.2.3).
	number, err := SerialOf(c.Number)
	if err != nil {
		return number, nil, errors.New("number is not positive, or longer than 20 octets")
	}
	if !c.ThisUpdate.Truncate(time.Second).Before(c.NextUpdate.Truncate(time.Second)) {
		return number, nil, errors.New("nextUpdate is not after thisUpdate")
	}
	if err := c.checkExtensions(number); err != nil {
		return number, nil, err
	}
	revoked := c.Revoked
	bySerial := func(a, b Revocation) int { return a.Serial.Compare(b.Serial) }
	if !slices.IsSortedFunc(revoked, bySerial) {
		revoked = slices.Clone(revoked)
		slices.SortFunc(revoked, bySerial)
	}
	for n, r := range revoked {
		if n > 0 && revoked[n-1].Serial == r.Serial {
			return number, nil, fmt.Errorf("serial %s stands twice", r.Serial)
		}
		if err := r.check(c.ThisUpdate); err != nil {
			return number, nil, err
		}
	}
	return number, revoked, nil
}

// latestEntry bounds how far after ThisUpdate an entry may be: ThisUpdate is backdated by
// up to ClockSkew, and the replica that recorded the revocation may be ahead by as much.
const latestEntry = 2 * ClockSkew

// check refuses an entry that relying parties could interpret differently.
func (r *Revocation) check(thisUpdate time.Time) error {
	if r.Serial.IsZero() {
		return errors.New("an entry has no serial")
	}
	if r.At.Truncate(time.Second).After(thisUpdate.Add(latestEntry)) {
		return fmt.Errorf("serial %s is revoked at %s, more than %s after thisUpdate", r.Serial, r.At.Format(time.RFC3339), latestEntry)
	}
	// RFC 2459 is of 1999: an earlier time is an unset one.
	if r.At.Year() < 1999 {
		return fmt.Errorf("serial %s is revoked in the year %d", r.Serial, r.At.Year())
	}
	// 6 is a hold, 8 its release, 7 unused: revocation here is final.
	if !slices.Contains([]int{0, 1, 2, 3, 4, 5, 9, 10}, r.Reason) {
		return fmt.Errorf("serial %s has reason %d", r.Serial, r.Reason)
	}
	return nil
}

// listTBS encodes a TBSCertList. It writes the entries, the one large part, in
// place; crypto/x509 takes several times the memory and the time.
func (i *Issuer) listTBS(cfg CRLConfig, number Serial, revoked []Revocation) (list, error) {
	var b cryptobyte.Builder
	b.AddASN1Int64(1) // version 2
	b.AddBytes(i.kind.signing().der)
	b.AddBytes(i.cert.RawSubject)
	addTime(&b, cfg.ThisUpdate)
	addTime(&b, cfg.NextUpdate)
	head, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	tail, err := i.listExtensions(cfg, number)
	if err != nil {
		return nil, err
	}
	entries := 0
	for n := range revoked {
		size := revoked[n].size()
		entries += headSize(size) + size
	}
	size := len(head) + len(tail)
	// revokedCertificates must be absent if it is empty (RFC 5280 section 5.1.2.6).
	if entries > 0 {
		size += headSize(entries) + entries
	}
	tbs := make([]byte, maxHead, maxHead+headSize(size)+size+maxSignature)
	tbs = appendHead(tbs, 0x30, size)
	tbs = append(tbs, head...)
	if entries > 0 {
		tbs = appendHead(tbs, 0x30, entries)
	}
	for n := range revoked {
		tbs = revoked[n].append(tbs)
	}
	return append(tbs, tail...), nil
}

// list is a TBSCertList in a buffer with space before it for the outer header, and
// after it for the signature, so that a list of a million entries is in memory once.
type list []byte

const (
	maxHead      = 6    // octets of tag and length
	maxSignature = 2048 // octets of algorithm and signature
)

func (l list) tbs() []byte { return l[maxHead:] }

// assemble makes a CertificateList of list, algorithm and signature, in place: it
// overwrites the result of an earlier call for the same list.
func (i *Issuer) assemble(l list, signature []byte) []byte {
	whole := append(l, i.kind.signing().der...)
	whole = appendHead(whole, 0x03, len(signature)+1)
	whole = append(whole, 0) // number of unused bits
	whole = append(whole, signature...)
	size := len(whole) - maxHead
	start := maxHead - headSize(size)
	appendHead(whole[start:start], 0x30, size)
	return whole[start:]
}

// reasonHead is the reasonCode extension (RFC 5280 section 5.3.1) up to the code
// itself.
const reasonHead = "\x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01"

// size gives the octets inside the entry's SEQUENCE. Reason 0 should be absent.
func (r *Revocation) size() int {
	size := 2 + r.integerSize() + 2 + len(utcTime)
	if r.At.UTC().Year() >= 2050 {
		size += len(generalizedTime) - len(utcTime)
	}
	if r.Reason != 0 {
		size += len(reasonHead) + 1
	}
	return size
}

// integerSize gives the length of the serial as INTEGER content, with the leading
// zero octet that keeps it positive.
func (r *Revocation) integerSize() int {
	if r.Serial.octets[0] >= 0x80 {
		return int(r.Serial.length) + 1
	}
	return int(r.Serial.length)
}

func (r *Revocation) append(b []byte) []byte {
	b = appendHead(b, 0x30, r.size())
	b = appendHead(b, 0x02, r.integerSize())
	if r.Serial.octets[0] >= 0x80 {
		b = append(b, 0)
	}
	b = append(b, r.Serial.bytes()...)
	b = appendTime(b, r.At)
	if r.Reason != 0 {
		b = append(b, reasonHead...)
		b = append(b, byte(r.Reason))
	}
	return b
}

const (
	utcTime         = "060102150405Z"
	generalizedTime = "20060102150405Z"
)

// appendTime writes UTCTime through 2049, GeneralizedTime after (RFC 5280
// section 5.1.2.4).
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if t.Year() >= 2050 {
		return t.AppendFormat(appendHead(b, 0x18, len(generalizedTime)), generalizedTime)
	}
	return t.AppendFormat(appendHead(b, 0x17, len(utcTime)), utcTime)
}

func addTime(b *cryptobyte.Builder, t time.Time) { b.AddBytes(appendTime(nil, t)) }

// appendHead writes a tag and a length in the shortest form, as DER demands.
func appendHead(b []byte, tag byte, size int) []byte {
	b = append(b, tag)
	if size < 0x80 {
		return append(b, byte(size))
	}
	octets := headSize(size) - 2
	b = append(b, 0x80|byte(octets))
	for shift := octets - 1; shift >= 0; shift-- {
		b = append(b, byte(size>>(8*shift)))
	}
	return b
}

// headSize counts the octets of tag and length.
func headSize(size int) int {
	n := 2
	if size >= 0x80 {
		for rest := size; rest > 0; rest >>= 8 {
			n++
		}
	}
	return n
}
