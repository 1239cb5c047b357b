package fetch_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"certportal/ca/fetch"
	"certportal/internal/test/testkit"
)

func (c *company) fetch() fetch.Lists {
	return (&fetch.Client{Timeout: 5 * time.Second}).Lists(c.t.Context(), c.issuing, c.root, time.Now())
}

func (c *company) expect(want fetch.State, text string) fetch.Lists {
	c.t.Helper()
	got := c.fetch()
	if got.State != want {
		c.t.Errorf("got %v: %s; want %v", got.State, got.Text, want)
	}
	testkit.Contains(c.t, "sentence", got.Text, text)
	return got
}

func TestGoodList(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	c.files["/root.crl"] = c.list(nil)
	got := c.expect(fetch.Good, "number 5, valid until ")
	if l := got.List; l == nil || l.Number != "5" || l.Scope != "all certificates" || l.NextUpdate.Before(time.Now()) || l.Size == 0 {
		t.Errorf("got %+v", l)
	}
}

// TestOneList has lists at the only address of a certificate.
func TestOneList(t *testing.T) {
	stranger := newCompany(t)
	for _, test := range []struct {
		name    string
		file    func(c *company) []byte
		state   fetch.State
		problem fetch.Problem
		text    string
	}{
		{"PEM", func(c *company) []byte {
			return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: c.list(nil)})
		}, fetch.Warning, 0, "not DER"},
		{"expired", func(c *company) []byte {
			return c.list(func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Second) })
		}, fetch.Failed, fetch.Expired, "the list ended on "},
		{"of tomorrow", func(c *company) []byte {
			return c.list(func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(time.Hour) })
		}, fetch.Failed, fetch.Invalid, "compare the clocks"},
		{"of a clock a little ahead", func(c *company) []byte {
			return c.list(func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(time.Minute) })
		}, fetch.Good, 0, "number 5"},
		{"without end", func(c *company) []byte { return withoutEnd(c) }, fetch.Failed, fetch.Invalid, "nextUpdate"},
		{"of another CA", func(*company) []byte {
			other := *stranger
			root := *other.root
			root.RawSubject, root.Subject = nil, pkix.Name{CommonName: "Other"}
			other.root = &root
			return other.list(nil)
		}, fetch.Failed, fetch.Invalid, "another authority than CN=Company Root"},
		{"of another key", func(*company) []byte {
			other := *stranger
			root := *other.root
			root.SubjectKeyId = []byte{9}
			other.root = &root
			return other.list(nil)
		}, fetch.Failed, fetch.Invalid, "another key of CN=Company Root"},
		{"of another key with the same identifier", func(*company) []byte { return stranger.list(nil) },
			fetch.Failed, fetch.Invalid, "its signature is not that of CN=Company Root"},
		{"delta", func(c *company) []byte { return c.list(with(delta(4))) }, fetch.Failed, fetch.Invalid, "a delta list, where"},
		{"unknown critical extension", func(c *company) []byte {
			return c.list(with(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}))
		}, fetch.Failed, fetch.Invalid, "critical extension 1.2.3"},
		{"unknown extension", func(c *company) []byte {
			return c.list(with(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}))
		}, fetch.Good, 0, "number 5"},
		{"extension twice", func(c *company) []byte {
			e := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}
			return c.list(with(e, e))
		}, fetch.Failed, fetch.Invalid, "1.2.3 twice"},
		{"entry with an unknown critical extension", func(c *company) []byte {
			return c.list(func(l *x509.RevocationList) {
				l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(3), RevocationTime: time.Now(),
					ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}}}
			})
		}, fetch.Failed, fetch.Invalid, "critical extension 2.5.29.29"},
		{"web page", func(*company) []byte { return []byte("\n<!DOCTYPE html><title>Sign in</title>") }, fetch.Failed, fetch.Unreachable, "a web page"},
		{"empty", func(*company) []byte { return []byte{} }, fetch.Failed, fetch.Unreachable, "empty"},
		{"truncated", func(c *company) []byte { l := c.list(nil); return l[:len(l)-1] }, fetch.Failed, fetch.Invalid, "not a whole revocation list"},
		{"with octets behind", func(c *company) []byte { return append(c.list(nil), 0) }, fetch.Failed, fetch.Invalid, "not a whole revocation list"},
		{"certificate", func(c *company) []byte { return c.root.Raw }, fetch.Failed, fetch.Invalid, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCompany(t, []string{"/root.crl"})
			c.files["/root.crl"] = test.file(c)
			got := c.expect(test.state, test.text)
			testkit.Equal(t, "problem", got.Problem, test.problem)
			if (got.List != nil) != (test.state != fetch.Failed) {
				t.Errorf("got list %+v", got.List)
			}
		})
	}
}

// withoutEnd is a list without nextUpdate, which crypto/x509 does not make. Its signature
// is of the list with it, but the missing time is found first.
func withoutEnd(c *company) []byte {
	var whole, fields []asn1.RawValue
	_ = testkit.Must(asn1.Unmarshal(c.list(nil), &whole))(c.t)
	_ = testkit.Must(asn1.Unmarshal(whole[0].FullBytes, &fields))(c.t)
	whole[0] = asn1.RawValue{FullBytes: testkit.Must(asn1.Marshal(slices.Delete(fields, 4, 5)))(c.t)}
	return testkit.Must(asn1.Marshal(whole))(c.t)
}

func TestRevokedIntermediate(t *testing.T) {
	for name, test := range map[string]struct {
		complete, delta int // reasons; negative: not listed
		want            fetch.State
	}{
		"in the complete list":       {4, -1, fetch.Failed},
		"on hold":                    {6, -1, fetch.Failed},
		"in the delta list":          {-1, 1, fetch.Failed},
		"hold released by the delta": {6, 8, fetch.Good},
		"compromise is not released": {1, 8, fetch.Failed},
		"listed nowhere":             {-1, -1, fetch.Good},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t, []string{"/root.crl"})
			c.files["/root.crl"] = c.list(func(l *x509.RevocationList) {
				if test.complete >= 0 {
					c.revoked(test.complete)(l)
				}
				l.ExtraExtensions = []pkix.Extension{c.freshest("/root+.crl")}
			})
			c.files["/root+.crl"] = c.list(func(l *x509.RevocationList) {
				if test.delta >= 0 {
					c.revoked(test.delta)(l)
				}
				l.ExtraExtensions = []pkix.Extension{delta(5)}
				l.Number = big.NewInt(6)
			})
			got := c.expect(test.want, "")
			if (got.Revoked != nil) != (test.want == fetch.Failed) {
				t.Errorf("got %+v: %s", got.Revoked, got.Text)
			}
			if got.Revoked != nil {
				testkit.Contains(t, "sentence", got.Text, "revoked it on ")
				testkit.Equal(t, "problem", got.Problem, 0)
			}
		})
	}
}

// An expired list still proves that a certificate was revoked.
func TestRevokedInExpiredList(t *testing.T) {
	c := newCompany(t, []string{"/old.crl"}, []string{"/new.crl"})
	c.files["/old.crl"] = c.list(func(l *x509.RevocationList) {
		c.revoked(1)(l)
		l.ThisUpdate, l.NextUpdate = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	c.files["/new.crl"] = c.list(nil)
	if got := c.expect(fetch.Failed, "revoked it"); got.Revoked == nil {
		t.Error("not revoked")
	}
}

// A missing delta list is a warning: some clients do without it.
func TestMissingDelta(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	c.files["/root.crl"] = c.list(with(c.freshest("/root+.crl")))
	got := c.expect(fetch.Warning, "/root+.crl: it answers 404 Not Found")
	testkit.Equal(t, "deltas", len(got.Points[0].Deltas), 1)
}

// TestSeveralAddresses has alternatives in one distribution point.
func TestSeveralAddresses(t *testing.T) {
	t.Run("one of two works", func(t *testing.T) {
		c := newCompany(t, []string{"/gone.crl", "/root.crl"})
		c.files["/root.crl"] = c.list(nil)
		c.expect(fetch.Warning, "/gone.crl: it answers 404 Not Found")
	})
	t.Run("an old copy", func(t *testing.T) {
		c := newCompany(t, []string{"/old.crl", "/root.crl"})
		c.files["/old.crl"] = c.list(func(l *x509.RevocationList) { l.Number, l.NextUpdate = big.NewInt(4), time.Now().Add(-time.Minute) })
		c.files["/root.crl"] = c.list(nil)
		got := c.expect(fetch.Warning, "the list ended on")
		testkit.Equal(t, "number", got.List.Number, "5")
		testkit.Equal(t, "old number", got.Points[0].Addresses[0].List.Number, "4")
	})
	t.Run("ldap beside http", func(t *testing.T) {
		c := newCompany(t, []string{"ldap:///CN=Root,CN=CDP?certificateRevocationList?base", "/root.crl"})
		c.files["/root.crl"] = c.list(nil)
		got := c.expect(fetch.Good, "number 5")
		testkit.Equal(t, "ldap", got.Points[0].Addresses[0].State, fetch.NotChecked)
		testkit.Contains(t, "ldap", got.Points[0].Addresses[0].Text, `not "ldap"`)
	})
	t.Run("ldap and file alone", func(t *testing.T) {
		c := newCompany(t, []string{"ldap:///CN=Root", "file://server/root.crl"})
		c.expect(fetch.NotChecked, "http addresses only")
	})
	t.Run("none", func(t *testing.T) {
		newCompany(t).expect(fetch.Failed, "names no address")
	})
	t.Run("no list of either", func(t *testing.T) {
		c := newCompany(t, []string{"/a.crl"}, []string{"/b.crl"})
		got := c.expect(fetch.Failed, "/b.crl: it answers 404")
		testkit.Equal(t, "problem", got.Problem, fetch.Unreachable)
	})
}
