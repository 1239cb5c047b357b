package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"certportal/internal/test/testkit"
)

// journal reads the journal: the lines of each serial. Each line must be whole.
func (p *powered) journal() map[string]string {
	p.t.Helper()
	lines := map[string]string{}
	text := testkit.Must(os.ReadFile(filepath.Join(p.dir, "revocation.journal")))(p.t)
	for line := range bytes.Lines(text) {
		var l struct{ Serial string }
		if err := json.Unmarshal(line, &l); err != nil {
			p.t.Errorf("the journal has the line %q: %v", line, err)
		}
		lines[l.Serial] += string(line)
	}
	return lines
}

// checkSignedLists holds that the keys signed one list of an issuer with a number, and that
// each list that was fetched is among those.
func (p *powered) checkSignedLists() {
	p.t.Helper()
	type number struct{ issuer, number string }
	numbers, signed := map[number]bool{}, map[string]bool{}
	for _, file := range testkit.Must(os.ReadDir(p.notes()))(p.t) {
		tbs := testkit.Must(os.ReadFile(filepath.Join(p.notes(), file.Name())))(p.t)
		list := listOfTBS(p.t, tbs)
		if list == nil {
			continue
		}
		n := number{string(list.RawIssuer), list.Number.String()}
		if numbers[n] {
			p.t.Errorf("two lists of %s with the number %s were signed", list.Issuer, list.Number)
		}
		numbers[n], signed[string(tbs)] = true, true
	}
	for n, der := range p.numbers {
		if list := testkit.Must(x509.ParseRevocationList(der))(p.t); !signed[string(list.RawTBSRevocationList)] {
			p.t.Errorf("list %d was published, and no key signed it", n)
		}
	}
}

// listOfTBS reads a TBSCertList; nil for what is none.
func listOfTBS(t testing.TB, tbs []byte) *x509.RevocationList {
	t.Helper()
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(tbs, &fields); err != nil || len(fields) < 4 || fields[0].Tag != asn1.TagInteger {
		return nil // a certificate, or not written to its end
	}
	der := testkit.Must(asn1.Marshal([]asn1.RawValue{
		{FullBytes: tbs}, fields[1], {Tag: asn1.TagBitString, Bytes: []byte{0, 0}},
	}))(t)
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil
	}
	return list
}
