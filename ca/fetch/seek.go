package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"certportal/ca"
)

// Search is what is looked for in the lists of a CA.
type Search struct {
	// Wanted reports whether a serial is looked for. It is called for each entry of a list.
	Wanted func(ca.Serial) bool

	// Newest gives number and beginning of the newest list that was seen at an address
	// before; zero values for none. An older one in its place names certificates, but proves
	// of none that it is not revoked.
	Newest func(address string) (number string, thisUpdate time.Time)
}

// outdated reports whether a newer list was at its address before. Numbers decide between
// lists that begin together.
func (s *Search) outdated(l *List) bool {
	if s == nil || s.Newest == nil {
		return false
	}
	number, from := s.Newest(l.URL)
	before := List{Number: number, Scope: l.Scope, URL: l.URL}
	return l.ThisUpdate.Before(from) || l.ThisUpdate.Equal(from) && older(l, &before)
}

// Seek fetches the lists that a certificate names, as [Client.Lists] does, and looks in each
// for other certificates of the same issuer. Of a list it keeps the entries that are wanted.
func (c *Client) Seek(ctx context.Context, cert, issuer *x509.Certificate, now time.Time, s Search) Lists {
	return c.lists(ctx, Lists{Certificate: cert, Issuer: issuer, At: now, search: &s})
}

// Places identifies the lists that a certificate of an issuer names: certificates with the
// same places are looked for together.
func Places(cert, issuer *x509.Certificate) string {
	h := sha256.New()
	h.Write(issuer.Raw)
	for _, e := range cert.Extensions {
		if id := e.Id.String(); id == "2.5.29.31" || id == "2.5.29.46" { // cRLDistributionPoints, freshestCRL
			fmt.Fprintf(h, "%s %d ", id, len(e.Value))
			h.Write(e.Value)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Naming is the entry of a certificate, and the list that has it.
type Naming struct {
	ca.Revocation
	List *List

	// Unsure says that it is a hold, and that the delta list that may end it cannot be used.
	Unsure bool
}

// Hold reports whether the CA may take the revocation back (RFC 5280 section 5.3.1).
func (n Naming) Hold() bool { return n.Reason == reasonHold }

const (
	reasonHold    = 6
	reasonRemoved = 8
)

// Named gives the certificates that a list of the CA names: complete lists first, then delta
// lists. A list that ended or is outdated names a certificate too, but for a hold, which a
// newer one may have taken back.
func (l Lists) Named() map[ca.Serial]Naming {
	all := make(map[ca.Serial]Naming)
	for _, p := range l.Points {
		released, unsure := p.released(), p.lacksDelta()
		for _, a := range slices.Concat(p.Addresses, p.Deltas) {
			if !a.proves() {
				continue
			}
			for _, r := range a.List.named {
				known, there := all[r.Serial]
				switch {
				case r.Reason == reasonRemoved, r.Reason == reasonHold && (released[r.Serial] || !a.usable()):
				case !there || known.Unsure || known.Hold() && r.Reason != reasonHold:
					all[r.Serial] = Naming{r, a.List, unsure && r.Reason == reasonHold}
				}
			}
		}
	}
	return all
}

// usable reports whether clients can use the list.
func (a *Address) usable() bool { return a.List != nil && (a.State == Good || a.State == Warning) }

// proves reports whether an entry of the list proves a revocation.
func (a *Address) proves() bool {
	return a.usable() || a.List != nil && (a.Problem == Expired || a.Problem == Outdated)
}

// lacksDelta reports whether the lists name delta lists, and none can be used.
func (p *Point) lacksDelta() bool {
	return len(p.Deltas) > 0 && !slices.ContainsFunc(p.Deltas, func(a Address) bool { return a.usable() })
}

// released are the certificates whose hold a delta list ended that is as new as the complete one.
func (p *Point) released() map[ca.Serial]bool {
	all := make(map[ca.Serial]bool)
	for _, a := range p.Deltas {
		if !a.usable() || p.list == nil || a.List.ThisUpdate.Before(p.list.ThisUpdate) {
			continue
		}
		for _, r := range a.List.named {
			if r.Reason == reasonRemoved {
				all[r.Serial] = true
			}
		}
	}
	return all
}

// Complete gives the time of the lists that together say of each certificate whether it is
// revoked, of the oldest of them, and until when a server may use them. It reports whether
// there are such lists.
func (l Lists) Complete() (thisUpdate, nextUpdate time.Time, ok bool) {
	if l.State != Good && l.State != Warning {
		return thisUpdate, nextUpdate, false
	}
	for _, p := range l.Points {
		if p.list == nil {
			continue
		}
		if !ok || p.list.ThisUpdate.Before(thisUpdate) {
			thisUpdate = p.list.ThisUpdate
		}
		if p.list.NextUpdate.After(nextUpdate) {
			nextUpdate = p.list.NextUpdate
		}
		ok = true
	}
	return thisUpdate, nextUpdate, ok
}
