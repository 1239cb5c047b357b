package ca_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"certportal/ca"
)

func TestDescribe(t *testing.T) {
	cert := user(t, "rsa", "user-rsa", ca.FixtureProfileConfig(), ca.FixtureSubject())
	got := map[string]ca.Extension{}
	for _, e := range ca.Describe(cert) {
		got[e.Name] = e
	}
	if len(got) != len(cert.Extensions) || len(got) < 9 {
		t.Fatalf("described %d extensions of %d: %v", len(got), len(cert.Extensions), got)
	}
	for name, want := range map[string]string{
		"Key Usage":                 "digitalSignature|keyEncipherment",
		"Extended Key Usage":        "EFS 1.3.6.1.4.1.311.10.3.4|emailProtection 1.3.6.1.5.5.7.3.4|clientAuth 1.3.6.1.5.5.7.3.2",
		"Subject Alternative Name":  "otherName UPN=alice@example.com|rfc822Name alice.liddell@example.com",
		"Certificate Template Name": "User",
		"NTDS Security (SID)":       "S-1-5-21-1381186052-4247692386-135928078-1225",
	} {
		if text := strings.Join(got[name].Values, "|"); text != want {
			t.Errorf("%s: got %q, want %q", name, text, want)
		}
	}
	if !got["Key Usage"].Critical || got["Extended Key Usage"].Critical {
		t.Error("the critical mark is lost")
	}
	if key := ca.DescribeKey(cert); key != "RSA 2048" {
		t.Errorf("key: got %q", key)
	}
	issuing := map[string]string{}
	for _, e := range ca.Describe(ca.FixtureHierarchy(t, "ec").Issuing) {
		issuing[e.OID] = strings.Join(e.Values, "|")
	}
	if issuing["2.5.29.19"] != "CA: yes|path length: 0" {
		t.Errorf("basic constraints of the issuing CA: got %q", issuing["2.5.29.19"])
	}
}

// FuzzDescribe fuzzes every extension with a reader: Describe must not panic, leave one
// out, or give control characters.
func FuzzDescribe(f *testing.F) {
	f.Add([]byte{0x30, 0}, "2.5.29.17")
	f.Add([]byte("\x30\x10\xa0\x0e\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x00"), "2.5.29.17")
	f.Add([]byte{0x1e, 3, 0xd8, 0, 1}, "1.3.6.1.4.1.311.20.2")
	f.Add([]byte("\x30\x09\x82\x07a\x1b[2J\xe2\x80"), "2.5.29.17")
	f.Fuzz(func(t *testing.T, value []byte, oid string) {
		cert := &x509.Certificate{}
		for _, id := range []asn1.ObjectIdentifier{
			{2, 5, 29, 15}, {2, 5, 29, 37}, {2, 5, 29, 17}, {2, 5, 29, 19}, {2, 5, 29, 14}, {2, 5, 29, 35}, {2, 5, 29, 31},
			{1, 3, 6, 1, 5, 5, 7, 1, 1}, {1, 3, 6, 1, 4, 1, 311, 20, 2}, {1, 3, 6, 1, 4, 1, 311, 25, 2}, {1, 2, 3},
		} {
			if oid == "" || oid == id.String() {
				cert.Extensions = append(cert.Extensions, pkix.Extension{Id: id, Value: value})
			}
		}
		for _, e := range ca.Describe(cert) {
			if len(e.Values) == 0 {
				t.Errorf("%s says nothing", e.OID)
			}
			for _, v := range e.Values {
				if !utf8.ValidString(v) || len(v) > 520 || strings.ContainsFunc(v, unicode.IsControl) {
					t.Errorf("%s: %q", e.OID, v)
				}
			}
		}
	})
}
