package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// DistributionPoint is one place where a list about a certificate is published (RFC 5280
// section 4.2.1.13). crypto/x509 gives the addresses of all places as one list; which
// of them lead to the same list is lost there.
type DistributionPoint struct {
	Addresses []string // alternatives that lead to the same list, in their order
	Reasons   Reasons  // for which the list is complete
	Indirect  bool     // another CA than the certificate's own signs the list

	names [][]byte // full names in DER, or one relative name
}

// Reasons are reasons of revocation, one bit for each (RFC 5280 section 4.2.1.13).
type Reasons uint16

// AllReasons are the reasons that there are: bits 1 to 8, from keyCompromise to
// aACompromise.
const AllReasons Reasons = 0x1fe

// CRLScope is what a list covers, from its IssuingDistributionPoint (RFC 5280 section
// 5.2.5). A list without one covers every certificate of its CA.
type CRLScope struct {
	OnlyUsers, OnlyCAs, OnlyAttributes bool    // kinds of certificates
	Indirect                           bool    // it has certificates of other CAs
	Reasons                            Reasons // that it covers

	names [][]byte // of the place where it is published; nil: not said
}

// Partition reports whether the list says where it is published: it then covers only
// certificates that name that place.
func (s *CRLScope) Partition() bool { return s != nil && len(s.names) > 0 }

// Names reports whether a certificate with this distribution point may use the list: the
// list names no place, or one that the distribution point names (RFC 5280 section 6.3.3,
// step b 2 i).
func (s *CRLScope) Names(point *DistributionPoint) bool {
	if !s.Partition() {
		return true
	}
	return slices.ContainsFunc(s.names, func(name []byte) bool {
		return slices.ContainsFunc(point.names, func(other []byte) bool { return bytes.Equal(name, other) })
	})
}

// DistributionPoints reads where the lists about a certificate are. A certificate
// without the extension has none.
func DistributionPoints(cert *x509.Certificate) ([]DistributionPoint, error) {
	return pointsIn(cert, oidCDP())
}

// FreshestPoints reads where the delta lists about a certificate are, as the certificate
// itself says (RFC 5280 section 4.2.1.15). Most have none: the complete list says so.
func FreshestPoints(cert *x509.Certificate) ([]DistributionPoint, error) {
	return pointsIn(cert, oidFreshest())
}

func pointsIn(cert *x509.Certificate, id asn1.ObjectIdentifier) ([]DistributionPoint, error) {
	for _, e := range cert.Extensions {
		if !e.Id.Equal(id) {
			continue
		}
		points, ok := readDistributionPoints(e.Value)
		if !ok {
			return nil, errors.New("reading distribution points: the extension is malformed")
		}
		return points, nil
	}
	return nil, nil
}

func readDistributionPoints(value cryptobyte.String) ([]DistributionPoint, bool) {
	var list cryptobyte.String
	if !value.ReadASN1(&list, der.SEQUENCE) || !value.Empty() || list.Empty() {
		return nil, false
	}
	var points []DistributionPoint
	for !list.Empty() {
		var fields, name, reasons, issuer cryptobyte.String
		var named, some bool
		p := DistributionPoint{Reasons: AllReasons}
		if !list.ReadASN1(&fields, der.SEQUENCE) || !fields.ReadOptionalASN1(&name, &named, contextTag(0)) ||
			!fields.ReadOptionalASN1(&reasons, &some, der.Tag(1).ContextSpecific()) ||
			!fields.ReadOptionalASN1(&issuer, &p.Indirect, contextTag(2)) || !fields.Empty() {
			return nil, false
		}
		if named && !p.readName(name) || some && !p.Reasons.read(reasons) {
			return nil, false
		}
		points = append(points, p)
	}
	return points, true
}

// readName reads a DistributionPointName: GeneralNames, or a name relative to that of
// the CA.
func (p *DistributionPoint) readName(name cryptobyte.String) bool {
	var full cryptobyte.String
	var there bool
	if !name.ReadOptionalASN1(&full, &there, contextTag(0)) {
		return false
	}
	if !there {
		var relative cryptobyte.String
		if !name.ReadASN1Element(&relative, contextTag(1)) || !name.Empty() {
			return false
		}
		p.names = [][]byte{relative}
		return true
	}
	for !full.Empty() {
		var element, uri cryptobyte.String
		var tag der.Tag
		if !full.ReadAnyASN1Element(&element, &tag) {
			return false
		}
		p.names = append(p.names, element)
		if element.ReadASN1(&uri, der.Tag(6).ContextSpecific()) {
			p.Addresses = append(p.Addresses, string(uri))
		}
	}
	return name.Empty() && len(p.names) > 0
}

// read reads ReasonFlags, a BIT STRING of nine bits.
func (r *Reasons) read(flags cryptobyte.String) bool {
	if len(flags) < 1 || len(flags) > 3 || flags[0] > 7 {
		return false
	}
	*r = 0
	for bit := range 8 * (len(flags) - 1) {
		if flags[1+bit/8]&(0x80>>(bit%8)) != 0 {
			*r |= 1 << bit
		}
	}
	*r &= AllReasons
	return true
}

func readScope(value cryptobyte.String) (*CRLScope, bool) {
	var fields, name, reasons cryptobyte.String
	var named, some bool
	s := &CRLScope{Reasons: AllReasons}
	if !value.ReadASN1(&fields, der.SEQUENCE) || !value.Empty() || !fields.ReadOptionalASN1(&name, &named, contextTag(0)) ||
		!readFlag(&fields, 1, &s.OnlyUsers) || !readFlag(&fields, 2, &s.OnlyCAs) ||
		!fields.ReadOptionalASN1(&reasons, &some, der.Tag(3).ContextSpecific()) ||
		!readFlag(&fields, 4, &s.Indirect) || !readFlag(&fields, 5, &s.OnlyAttributes) || !fields.Empty() {
		return nil, false
	}
	if named {
		var p DistributionPoint
		if !p.readName(name) {
			return nil, false
		}
		s.names = p.names
	}
	return s, !some || s.Reasons.read(reasons)
}

// readFlag reads a BOOLEAN under a context tag, which is false when it is absent.
func readFlag(fields *cryptobyte.String, tag uint8, flag *bool) bool {
	var value cryptobyte.String
	var there bool
	if !fields.ReadOptionalASN1(&value, &there, der.Tag(tag).ContextSpecific()) || there && len(value) != 1 {
		return false
	}
	*flag = there && value[0] != 0
	return true
}
