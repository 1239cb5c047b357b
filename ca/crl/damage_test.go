package crl_test

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
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
