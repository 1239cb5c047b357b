package crl_test

import (
	"encoding/asn1"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
)

// A revocation is in a delta list at once. The next complete list is made on schedule,
// with a delta list of the same number (RFC 5280 section 5.2.3).
func TestDeltaLists(t *testing.T) {
	o := newFixture(t, withDeltas)
	o.refresh()
	first := *held(t, o, "issuing")
	if _, ok := o.CRL("issuing-delta"); ok {
		t.Error("a delta list adds to a complete one that was not published before")
	}
	o.refresh()
	if empty := held(t, o, "issuing-delta"); empty.Base != first.Number || empty.Entries != 0 {
		t.Errorf("delta list to %d with %d entries, want it to %d with none", empty.Base, empty.Entries, first.Number)
	}
	o.pass(time.Minute)
	early := o.revokeNew()
	o.refresh()
	if held(t, o, "issuing").Number != first.Number || !o.names("issuing-delta", early) {
		t.Error("the revocation is not in a delta list alone")
	}
	o.pass(6 * time.Hour)
	late := o.revokeNew()
	o.refresh()
	complete, delta := held(t, o, "issuing"), held(t, o, "issuing-delta")
	if complete.Number != delta.Number || delta.Base != first.Number || complete.Through != delta.Through {
		t.Errorf("complete list %d and delta list %d to %d, want one number to %d", complete.Number, delta.Number, delta.Base, first.Number)
	}
	for _, list := range []string{"issuing", "issuing-delta"} {
		if !o.names(list, early) || !o.names(list, late) {
			t.Errorf("list %s lacks a revocation", list)
		}
	}
	if root := held(t, o, "root"); root.Base != 0 {
		t.Error("the root has a delta list")
	}
}

// A client with any complete list in force can apply the delta list. An expired complete
// list is no base any more.
func TestDeltaListsAddToTheOldestInForce(t *testing.T) {
	o := newFixture(t, withDeltas)
	o.refresh()
	first := *held(t, o, "issuing")
	o.pass(6 * time.Hour)
	o.refresh()
	second := *held(t, o, "issuing")
	if got := held(t, o, "issuing-delta").Base; got != first.Number || second.Number == first.Number {
		t.Errorf("delta list to %d, want it to %d", got, first.Number)
	}
	o.pass(crl.DefaultLife - 6*time.Hour)
	o.refresh()
	if got := held(t, o, "issuing-delta").Base; got != second.Number {
		t.Errorf("delta list to %d, want it to %d, for the list before ran out", got, second.Number)
	}
}

func TestCompleteListsNameDeltaLists(t *testing.T) {
	freshest := asn1.ObjectIdentifier{2, 5, 29, 46}
	for _, deltas := range []bool{false, true} {
		o := newFixture(t)
		if deltas {
			o = newFixture(t, withDeltas)
		}
		o.refresh()
		_, parsed := o.list("issuing")
		told := false
		for _, e := range parsed.Extensions {
			told = told || e.Id.Equal(freshest)
		}
		if told != deltas {
			t.Errorf("with delta lists %v: their address is told %v", deltas, told)
		}
	}
}

// After delta lists are disabled, the next complete list has the revocations that only
// the delta list had.
func TestDeltaListsSwitchedOff(t *testing.T) {
	o := newFixture(t, withDeltas)
	o.refresh()
	o.refresh()
	serial := o.revokeNew()
	o.refresh()
	o.change = func(*crl.Config) {}
	o.Publisher = o.replica()
	o.refresh()
	if !o.names("issuing", serial) {
		t.Error("the complete list lacks what was in the delta list")
	}
}

func TestAuthoritiesRefused(t *testing.T) {
	o := newFixture(t)
	for name, change := range map[string]func(*crl.Authority){
		"life not beyond renewal":   func(a *crl.Authority) { a.Life = a.Renew },
		"no renewal":                func(a *crl.Authority) { a.Renew = 0 },
		"no issuer":                 func(a *crl.Authority) { a.Issuer = nil },
		"delta lists at no address": func(a *crl.Authority) { a.DeltaRenew = time.Hour },
		"an address of no delta":    func(a *crl.Authority) { a.Freshest = []string{"http://pki.example/x.crl"} },
		"delta lists before now":    func(a *crl.Authority) { a.DeltaRenew = -time.Hour },
	} {
		a := crl.Authority{Name: "issuing", Life: 2, Renew: 1, Issuer: func() (*ca.Issuer, error) { return o.issuing() }}
		change(&a)
		if _, err := crl.New(crl.Config{Store: o.db, Authorities: []crl.Authority{a}}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
