package fetch

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	"certportal/ca"
)

// Lists is what the addresses of one certificate gave: whether clients can find out that
// it is not revoked.
type Lists struct {
	Certificate, Issuer *x509.Certificate
	At                  time.Time

	State   State
	Problem Problem        // of a failed state; zero when the certificate is revoked
	Text    string         // a sentence about the whole
	Revoked *ca.Revocation // the certificate's entry in a list: it is revoked
	List    *List          // of the lists that clients need, the one that ends first; nil without one
	Points  []Point        // none: the certificate names no list

	search *Search // of [Client.Seek]; nil otherwise
}

// Point is one distribution point. Its addresses are alternatives.
type Point struct {
	State     State
	Addresses []Address
	Deltas    []Address // of the delta list; clients do without it, some with an error

	reasons ca.Reasons // that a good list covers
	list    *List      // the newest good one
}

// Address is the outcome of one address.
type Address struct {
	URL     string
	State   State
	Problem Problem // of a failed one
	Text    string  // why, or what is there
	List    *List   // a list that the CA signed, even one that ended; nil otherwise
}

// List is a verified list.
type List struct {
	URL                    string
	Number                 string // decimal; empty when the list has none
	ThisUpdate, NextUpdate time.Time
	NextPublish            time.Time // when AD CS publishes the next; zero when not said
	Scope                  string    // in words
	Delta                  bool
	Size                   int            // bytes
	Revoked                *ca.Revocation // the entry of the certificate

	partition    bool
	named        []ca.Revocation // entries that a search wanted
	number, base ca.Serial
}

// Lists fetches the lists that say whether cert is revoked, and verifies that issuer
// signed them. Of the addresses of a distribution point one good one is enough. The
// context bounds the time of all.
func (c *Client) Lists(ctx context.Context, cert, issuer *x509.Certificate, now time.Time) Lists {
	return c.lists(ctx, Lists{Certificate: cert, Issuer: issuer, At: now})
}

func (c *Client) lists(ctx context.Context, l Lists) Lists {
	cert := l.Certificate
	points, err := ca.DistributionPoints(cert)
	switch {
	case err != nil:
		l.State, l.Problem, l.Text = Failed, Invalid, "its extension with the addresses of lists cannot be read"
		return l
	case len(points) == 0:
		l.State, l.Problem = Failed, Invalid
		l.Text = "it names no address of a revocation list: clients that check revocation refuse what is below it"
		return l
	}
	for n := range points {
		l.Points = append(l.Points, c.point(ctx, &l, &points[n]))
	}
	l.conclude()
	return l
}

// point fetches all addresses of a distribution point, good or not, since each client
// chooses its own.
func (c *Client) point(ctx context.Context, l *Lists, dp *ca.DistributionPoint) Point {
	p := Point{State: NotChecked}
	if dp.Indirect {
		p.Addresses = []Address{{State: NotChecked, Text: "not checked: another authority signs this list (an indirect list), which Windows does not read"}}
		return p
	}
	var freshest []ca.DistributionPoint
	for _, address := range dp.Addresses {
		a, crl := c.list(ctx, l, dp, address, false)
		p.Addresses = append(p.Addresses, a)
		if crl == nil {
			continue
		}
		p.reasons |= reasonsOf(crl, dp)
		if p.list == nil || a.List.NextUpdate.After(p.list.NextUpdate) {
			p.list, freshest = a.List, crl.Freshest
		}
	}
	p.State = stateOf(p.Addresses)
	for _, address := range deltaAddresses(l.Certificate, freshest) {
		a, _ := c.list(ctx, l, dp, address, true)
		a.checkBase(p.list)
		p.Deltas = append(p.Deltas, a)
	}
	return p
}

// deltaAddresses are those that a complete list and the certificate name.
func deltaAddresses(cert *x509.Certificate, freshest []ca.DistributionPoint) []string {
	own, _ := ca.FreshestPoints(cert) // clients do without what cannot be read
	var all []string
	for _, p := range slices.Concat(freshest, own) {
		for _, address := range p.Addresses {
			if !slices.Contains(all, address) {
				all = append(all, address)
			}
		}
	}
	return all
}

// checkBase refuses a delta list that does not add to the complete one that is there (RFC
// 5280 section 5.2.4).
func (a *Address) checkBase(complete *List) {
	if complete == nil || a.State != Good && a.State != Warning || complete.number.Compare(a.List.base) >= 0 {
		return
	}
	a.State, a.Problem = Failed, Invalid
	a.Text = "it adds to the list with number " + a.List.base.Big().String() + ", and the complete list that is there has number " + complete.Number
}

func reasonsOf(crl *ca.PublishedCRL, dp *ca.DistributionPoint) ca.Reasons {
	if crl.Scope == nil {
		return dp.Reasons
	}
	return crl.Scope.Reasons & dp.Reasons
}

// stateOf gives the state of alternatives.
func stateOf(addresses []Address) State {
	count := map[State]int{}
	for _, a := range addresses {
		count[a.State]++
	}
	switch {
	case count[Good]+count[Warning] > 0 && count[Warning]+count[Failed] > 0:
		return Warning
	case count[Good] > 0:
		return Good
	case count[Failed] > 0:
		return Failed
	case count[OutOfScope] > 0:
		return OutOfScope
	}
	return NotChecked
}

// list fetches one address. The list is nil unless clients can use it.
func (c *Client) list(ctx context.Context, l *Lists, dp *ca.DistributionPoint, address string, delta bool) (Address, *ca.PublishedCRL) {
	a := Address{URL: address}
	if err := checkable(address); err != nil {
		a.State, a.Text = NotChecked, err.Error()
		return a, nil
	}
	limit := c.MaxCRL
	if limit <= 0 {
		limit = MaxCRL
	}
	body, err := c.get(ctx, address, limit)
	if err != nil {
		a.State, a.Problem, a.Text = Failed, Unreachable, err.Error()
		return a, nil
	}
	der, text := derOf(body)
	crl, err := ca.ReadForeignCRL(der, l.Issuer)
	if err != nil {
		a.State, a.Problem, a.Text = Failed, Invalid, err.Error()
		return a, nil
	}
	a.List = listOf(crl, address, len(body))
	if a.judge(l, dp, crl, delta); a.State == Failed || a.State == OutOfScope {
		return a, nil
	}
	if text {
		a.warn("it is PEM text, not DER, which not every client reads (RFC 5280 section 4.2.1.13)")
	}
	if crl.Algorithm == x509.SHA1WithRSA || crl.Algorithm == x509.ECDSAWithSHA1 {
		a.warn("it is signed with SHA-1: the authority should sign with SHA-256")
	}
	return a, crl
}

func (a *Address) warn(text string) { a.State, a.Text = Warning, a.Text+"; "+text }

// derOf decodes a list in PEM, which some publish.
func derOf(body []byte) (der []byte, text bool) {
	if block, _ := pem.Decode(body); block != nil && block.Type == "X509 CRL" {
		return block.Bytes, true
	}
	return body, false
}

func listOf(crl *ca.PublishedCRL, address string, size int) *List {
	l := &List{
		URL: address, ThisUpdate: crl.ThisUpdate, NextUpdate: crl.NextUpdate, NextPublish: crl.NextPublish,
		Scope: scopeOf(crl), Delta: crl.Delta, Size: size, partition: crl.Scope.Partition(), number: crl.Number, base: crl.Base,
	}
	if crl.HasNumber() {
		l.Number = crl.Number.Big().String()
	}
	return l
}
