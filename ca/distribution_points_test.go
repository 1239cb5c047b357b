package ca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"testing"
)

// FixturePoints reads octets as the extension of a certificate, and of a list.
func FixturePoints(value []byte) ([]DistributionPoint, *CRLScope) {
	points, err := DistributionPoints(&x509.Certificate{Extensions: []pkix.Extension{{Id: oidCDP(), Value: value}}})
	if err != nil {
		points = nil
	}
	scope, ok := readScope(value)
	if !ok {
		scope = nil
	}
	return points, scope
}

// Two addresses in one point are alternatives, in two points they are two lists.
func TestDistributionPoints(t *testing.T) {
	for name, test := range map[string]struct {
		value   string
		points  [][]string
		reasons []Reasons
	}{
		"one point": {"\x30\x16\x30\x14\xa0\x12\xa0\x10\x86\x07http://\x86\x05ldap:", [][]string{{"http://", "ldap:"}}, []Reasons{AllReasons}},
		"two points": {"\x30\x1a\x30\x0d\xa0\x0b\xa0\x09\x86\x07http://\x30\x09\xa0\x07\xa0\x05\x86\x03ftp",
			[][]string{{"http://"}, {"ftp"}}, []Reasons{AllReasons, AllReasons}},
		"reasons":       {"\x30\x0e\x30\x0c\xa0\x07\xa0\x05\x86\x03ftp\x81\x01\x00", [][]string{{"ftp"}}, []Reasons{0}},
		"keyCompromise": {"\x30\x0f\x30\x0d\xa0\x07\xa0\x05\x86\x03ftp\x81\x02\x06\x40", [][]string{{"ftp"}}, []Reasons{2}},
		"no name":       {"\x30\x02\x30\x00", [][]string{nil}, []Reasons{AllReasons}},
	} {
		t.Run(name, func(t *testing.T) {
			points, _ := FixturePoints([]byte(test.value))
			if len(points) != len(test.points) {
				t.Fatalf("got %+v", points)
			}
			for n, p := range points {
				if !slices.Equal(p.Addresses, test.points[n]) || p.Reasons != test.reasons[n] || p.Indirect {
					t.Errorf("got %+v, want %v", p, test.points[n])
				}
			}
		})
	}
}

func TestDistributionPointsRefuse(t *testing.T) {
	for name, value := range map[string]string{
		"empty": "", "no points": "\x30\x00", "octets behind": "\x30\x02\x30\x00\x00", "no names": "\x30\x06\x30\x04\xa0\x02\xa0\x00",
		"cut": "\x30\x16\x30\x14\xa0\x12\xa0\x10\x86\x07http", "unknown field": "\x30\x04\x30\x02\xa7\x00",
		"reasons without octets": "\x30\x04\x30\x02\x81\x00",
	} {
		if points, _ := FixturePoints([]byte(value)); points != nil {
			t.Errorf("%s: got %+v", name, points)
		}
	}
}

func TestScope(t *testing.T) {
	_, s := FixturePoints([]byte("\x30\x12\xa0\x07\xa0\x05\x86\x03ftp\x82\x01\xff\x83\x01\x00\x84\x01\x00"))
	if s == nil || !s.OnlyCAs || s.OnlyUsers || s.Indirect || s.Reasons != 0 || !s.Partition() {
		t.Fatalf("got %+v", s)
	}
	points, _ := FixturePoints([]byte("\x30\x16\x30\x14\xa0\x12\xa0\x10\x86\x07http://\x86\x05ldap:"))
	other, _ := FixturePoints([]byte("\x30\x0b\x30\x09\xa0\x07\xa0\x05\x86\x03ftp"))
	if s.Names(&points[0]) || !s.Names(&other[0]) || !(*CRLScope)(nil).Names(&points[0]) {
		t.Error("a list belongs to the points that have its name, and one without a scope to all")
	}
}
