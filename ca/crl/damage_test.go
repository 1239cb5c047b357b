package crl_test

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
)

// TestF11_DamagedListIsReplaced flips a byte in each list of the database. A portal that starts
// serves none of them, says so once, and makes others at once.
func TestF11_DamagedListIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portal.db")
	o := fixtureAt(t, file, withDeltas)
	for range 2 { // a delta list needs a complete one before it
		if err := o.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := o.CRL("issuing")
	plain, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for _, name := range []string{"root", "issuing", "issuing-delta"} {
		l, _ := o.CRL(name)
		der := bytes.Clone(l.DER)
		der[len(der)/2] ^= 1
		if _, err := plain.Exec("UPDATE crls SET der = ? WHERE der = ?", der, l.DER); err != nil {
			t.Fatal(err)
		}
	}
	p := o.replica()
	for range 2 {
		if err := p.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"root", "issuing", "issuing-delta"}
	for _, name := range names {
		if l, ok := p.CRL(name); ok {
			t.Errorf("damaged list %d of %s is served", l.Number, name)
		}
	}
	if got := strings.Count(o.log.taken(), "is damaged"); got != 3 {
		t.Errorf("said %d times that a list is damaged, want once for each of three", got)
	}
	for range 2 {
		if err := p.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		signer := o.hierarchy.Issuing
		if name == "root" {
			signer = o.hierarchy.Root
		}
		l, _ := p.CRL(name)
		if _, err := ca.ReadCRL(l.DER, signer); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l, _ := p.CRL("issuing"); l.Number <= before.Number {
		t.Errorf("number %d follows %d", l.Number, before.Number)
	}
}

// TestF11_ListThatDiffersFromItsRow changes what the database says of a list, whose signature
// still verifies: a later nextUpdate would keep a list in force that has ended. Such a list is
// replaced.
func TestF11_ListThatDiffersFromItsRow(t *testing.T) {
	for _, test := range []struct{ change, kind, said string }{
		{"next_update = next_update + 86400000", "issuing", "nextUpdate"},
		{"this_update = this_update - 1000", "issuing", "thisUpdate"},
		{"number = number + 1", "issuing-delta", "number"},
		{"base = base - 1", "issuing-delta", "base"},
	} {
		t.Run(test.said, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "portal.db")
			o := fixtureAt(t, file, withDeltas, func(c *crl.Config) {
				c.Authorities[1].Life += 250 * time.Millisecond // a list has whole seconds
			})
			o.pass(123 * time.Millisecond)
			for range 2 { // a delta list needs a complete one before it
				if err := o.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := o.CRL(test.kind)
			whole := o.replica()
			if err := whole.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			if l, ok := whole.CRL(test.kind); !ok || l.Number != before.Number {
				t.Fatalf("the list that was made is not served: %s", o.log.taken())
			}
			plain, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			if _, err := plain.Exec("UPDATE crls SET "+test.change+" WHERE der = ?", before.DER); err != nil {
				t.Fatal(err)
			}
			o.log.taken()
			o.pass(time.Second) // the next number is the time in milliseconds
			p := o.replica()
			if err := p.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			if l, ok := p.CRL(test.kind); ok {
				t.Errorf("list %d is served", l.Number)
			}
			if got := o.log.taken(); !strings.Contains(got, "is damaged") || !strings.Contains(got, test.said) {
				t.Errorf("said: %s", got)
			}
			if err := p.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			l, ok := p.CRL(test.kind)
			if !ok || l.Number <= before.Number {
				t.Fatalf("list %d follows %d", l.Number, before.Number)
			}
			if err := l.Verify(o.hierarchy.Issuing); err != nil {
				t.Error(err)
			}
		})
	}
}
