package doctor

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"certportal/ca/fetch"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// companyPKI is the root of a company with a CA below it and a server of its list.
type companyPKI struct {
	link fetch.Link
	sign func(change func(*x509.RevocationList)) []byte
	list []byte // nil: 404
}

func newCompanyPKI(t *testing.T) *companyPKI {
	p := &companyPKI{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.list == nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(p.list)
	}))
	t.Cleanup(server.Close)
	key := testkit.ECKey(t)
	make := func(name string, serial int64, parent *x509.Certificate, lists ...string) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte{byte(serial)},
			NotBefore: testkit.Noon.AddDate(-1, 0, 0), NotAfter: testkit.Noon.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, CRLDistributionPoints: lists,
		}
		if parent == nil {
			parent = template
		}
		raw := testkit.Must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key))(t)
		return testkit.Must(x509.ParseCertificate(raw))(t)
	}
	root := make("Company Root", 1, nil)
	p.link = fetch.Link{Certificate: make("Portal CA", 2, root, server.URL+"/root.crl"), Issuer: root}
	p.sign = func(change func(*x509.RevocationList)) []byte {
		template := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: testkit.Noon, NextUpdate: testkit.Noon.Add(100 * time.Hour)}
		change(template)
		return testkit.Must(x509.CreateRevocationList(rand.Reader, template, root, key))(t)
	}
	return p
}

func (p *companyPKI) doctor(t *testing.T, now func() time.Time) *Doctor {
	return New(Config{Now: now, Company: fetch.NewWatch(fetch.WatchConfig{
		Client: new(fetch.Client), Links: func() []fetch.Link { return []fetch.Link{p.link} }, Now: now, Log: testkit.NewLog(t).Logger(),
	})})
}

func alertsOf(d *Doctor) string {
	var got []string
	for _, a := range d.companyAlerts() {
		got = append(got, fmt.Sprint(a.Key, " ", a.Value, " ", a.Number, " ", a.Critical))
	}
	return strings.Join(got, ", ")
}

// TestF10_CompanyListAlerts has a list of 100 hours in the course of its life.
func TestF10_CompanyListAlerts(t *testing.T) {
	plain := func(*x509.RevocationList) {}
	announced := func(l *x509.RevocationList) {
		at := testkit.Noon.Add(90 * time.Hour).Format("060102150405Z")
		l.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 311, 21, 4}, Value: append([]byte{0x17, byte(len(at))}, at...)}}
	}
	for _, test := range []struct {
		name   string
		change func(*x509.RevocationList)
		over   time.Duration
		want   string
	}{
		{"fresh", plain, time.Hour, ""},
		{"before half", plain, 49 * time.Hour, ""},
		{"half", plain, 50 * time.Hour, "company-list-half Company Root 50 false"},
		{"three quarters", plain, 75 * time.Hour, "company-list-late Company Root 75 true"},
		{"nearly over", plain, 95 * time.Hour, "company-list-late Company Root 95 true"},
		{"ended", plain, 100 * time.Hour, "company-list-none Company Root 0 true"},
		{"the next one is announced for later", announced, 80 * time.Hour, ""},
		{"the announced one did not come", announced, 91 * time.Hour, "company-list-late Company Root 91 true"},
		{"revoked", func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(2), RevocationTime: testkit.Noon, ReasonCode: 4}}
		}, time.Hour, "company-revoked Portal CA 0 true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, clock := newCompanyPKI(t), testkit.NewClock()
			p.list = p.sign(test.change)
			d := p.doctor(t, clock.Now)
			clock.Advance(test.over)
			d.c.Company.Round(t.Context())
			testkit.Equal(t, "alerts", alertsOf(d), test.want)
		})
	}
}

// Before the first round there is no alert, and no finding that is fine. Then a silent
// server is an alert, which is critical after an hour, and at once without a valid list.
func TestF10_CompanyListSilent(t *testing.T) {
	p, clock := newCompanyPKI(t), testkit.NewClock()
	d := p.doctor(t, clock.Now)
	testkit.Equal(t, "alerts before the first round", alertsOf(d), "")
	if f := d.companyFindings(d.c.Company.State()[0]); f[0].State == portal.FindingOK || f[0].Text != "not checked yet" {
		t.Errorf("got %v", f)
	}
	d.c.Company.Round(t.Context())
	testkit.Equal(t, "never seen", alertsOf(d), "company-list-none Company Root 0 true")
	p.list = p.sign(func(*x509.RevocationList) {})
	d.c.Company.Round(t.Context())
	testkit.Equal(t, "there", alertsOf(d), "")
	p.list = nil
	d.c.Company.Round(t.Context())
	testkit.Equal(t, "gone", alertsOf(d), "company-list-silent Company Root 0 false")
	clock.Advance(time.Hour)
	testkit.Equal(t, "gone for an hour", alertsOf(d), "company-list-silent Company Root 0 true")
	clock.Advance(100 * time.Hour)
	testkit.Equal(t, "gone until its end", alertsOf(d), "company-list-none Company Root 0 true")
}

// An address that is not checked is never shown as fine.
func TestCompanyListNotChecked(t *testing.T) {
	link := newCompanyPKI(t).link
	ldap := fetch.Address{URL: "ldap:///CN=Root", State: fetch.NotChecked, Text: "not checked"}
	good := fetch.Address{URL: "http://pki.example/root.crl", State: fetch.Good, Text: "number 1"}
	l := fetch.Lists{Certificate: link.Certificate, Issuer: link.Issuer, State: fetch.Good, Text: "number 1", Points: []fetch.Point{{Addresses: []fetch.Address{ldap, good}}}}
	found := CompanyFindings(l)
	if len(found) != 2 || !strings.HasSuffix(found[0].Text, " (addresses that are no http and were not checked: 1)") {
		t.Errorf("beside an http address: got %v", found)
	}
	l.State, l.Points[0].Addresses = fetch.NotChecked, []fetch.Address{ldap}
	for _, f := range CompanyFindings(l) {
		if f.State != portal.FindingWarning {
			t.Errorf("alone: got %v", f)
		}
	}
}

func TestCompanyListCheck(t *testing.T) {
	p, clock := newCompanyPKI(t), testkit.NewClock()
	d := p.doctor(t, clock.Now)
	check := d.companyChecks()
	if len(check) != 1 {
		t.Fatalf("got %d checks", len(check))
	}
	found := check[0].run(t.Context())
	if len(found) != 2 || found[0].State != portal.FindingFailed || found[1].State != portal.FindingFailed || !strings.Contains(found[1].Text, "404") {
		t.Errorf("without a list: got %v", found)
	}
	p.list = p.sign(func(*x509.RevocationList) {})
	if found = check[0].run(t.Context()); found[0].State != portal.FindingOK || !strings.Contains(found[0].Text, "number 7, valid until") || found[0].Said[0].Key != "company-list" || found[1].Said[0].Key != "company-list" {
		t.Errorf("with a list: got %v", found)
	}
	clock.Advance(60 * time.Hour)
	if found = check[0].run(t.Context()); found[0].State != portal.FindingWarning || !strings.Contains(found[0].Text, "should have been renewed") {
		t.Errorf("with an old list: got %v", found)
	}
	if New(Config{}).companyChecks() != nil || New(Config{}).companyAlerts() != nil {
		t.Error("a portal without a company's CA has checks or alerts of it")
	}
}
