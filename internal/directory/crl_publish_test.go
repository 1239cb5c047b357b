package directory_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/directory"
	"certportal/internal/test/samba"
	"certportal/internal/test/slapd"
)

// listMaker signs CRLs of one CA.
type listMaker struct {
	t      *testing.T
	issuer *ca.Issuer
}

func newListMaker(t *testing.T) *listMaker {
	t.Helper()
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	if err != nil {
		t.Fatal(err)
	}
	return &listMaker{t, issuer}
}

func (m *listMaker) signers() map[string]*x509.Certificate {
	return map[string]*x509.Certificate{"issuing": m.issuer.Certificate()}
}

func (m *listMaker) list(number, base int64, entries int) crl.List {
	m.t.Helper()
	now := time.Now().Truncate(time.Second)
	l := crl.List{Issuer: "issuing", Number: number, Base: base, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
	cfg := ca.CRLConfig{Number: big.NewInt(number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate}
	if base > 0 {
		cfg.Base = big.NewInt(base)
	}
	for range entries {
		serial, err := ca.NewSerial(nil)
		if err != nil {
			m.t.Fatal(err)
		}
		cfg.Revoked = append(cfg.Revoked, ca.Revocation{Serial: serial, At: now})
	}
	var err error
	if l.DER, err = m.issuer.CRL(cfg); err != nil {
		m.t.Fatal(err)
	}
	return l
}

// distribution is a server with an entry for CRLs.
type distribution struct {
	name   string
	config directory.CRLPublisherConfig
	dial   func() (*ldap.Conn, error)
	again  string // another address of the server
}

// addEntry adds the entry, as an administrator does beforehand.
func addEntry(t *testing.T, d distribution, dn string) {
	t.Helper()
	conn := bound(t, d)
	add := ldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"top", "cRLDistributionPoint"})
	if err := conn.Add(add); err != nil {
		t.Fatalf("adding %s: %v", dn, err)
	}
}

func bound(t *testing.T, d distribution) *ldap.Conn {
	t.Helper()
	conn, err := d.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	password, err := d.config.Password()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Bind(d.config.User, password); err != nil {
		t.Fatal(err)
	}
	return conn
}

// valueOf reads the attribute of the entry.
func valueOf(t *testing.T, d distribution, dn, attribute string) []byte {
	t.Helper()
	found, err := bound(t, d).Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=cRLDistributionPoint)", nil, nil))
	if err != nil || len(found.Entries) != 1 {
		t.Fatalf("reading %s: %v", dn, err)
	}
	for _, a := range found.Entries[0].Attributes {
		name, _, _ := strings.Cut(a.Name, ";")
		if strings.EqualFold(name, attribute) {
			if len(a.ByteValues) != 1 {
				t.Errorf("%s has %d values, want one", a.Name, len(a.ByteValues))
			}
			return a.ByteValues[0]
		}
	}
	return nil
}

func secretly(p string) func() (string, error) { return func() (string, error) { return p, nil } }

func ofSlapd(t *testing.T) distribution {
	s := slapd.Start(t)
	d := distribution{name: "slapd", dial: s.Dial, again: s.StartTLSURL(), config: directory.CRLPublisherConfig{
		URL: s.URL(), Roots: s.Roots, User: slapd.Admin, Password: secretly(slapd.AdminPassword),
		Entries: map[string]string{"issuing": "cn=issuing," + slapd.Base},
	}}
	addEntry(t, d, d.config.Entries["issuing"])
	return d
}

func TestListsInDirectory(t *testing.T) {
	for _, start := range []func(*testing.T) distribution{ofSlapd, ofSamba} {
		d := start(t)
		t.Run(d.name, func(t *testing.T) { checkLists(t, d) })
	}
}

func checkLists(t *testing.T, d distribution) {
	m := newListMaker(t)
	d.config.Signers = m.signers()
	dn := d.config.Entries["issuing"]
	lists, err := directory.NewCRLPublisher(d.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := lists.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second, delta := m.list(10, 0, 3), m.list(20, 0, 5000), m.list(20, 10, 1)
	for _, tt := range []struct {
		name      string
		put       crl.List
		attribute string
		want      crl.List
	}{
		{"first", first, "certificateRevocationList", first},
		{"longer", second, "certificateRevocationList", second},
		{"older", first, "certificateRevocationList", second},
		{"again", second, "certificateRevocationList", second},
		{"delta", delta, "deltaRevocationList", delta},
		{"complete beside it", second, "certificateRevocationList", second},
	} {
		number, err := lists.Put(t.Context(), tt.put)
		if err != nil || number != tt.want.Number {
			t.Errorf("%s: Put: %d, %v, want %d", tt.name, number, err, tt.want.Number)
		}
		if got := valueOf(t, d, dn, tt.attribute); !bytes.Equal(got, tt.want.DER) {
			t.Errorf("%s: %d octets in the entry, want the %d of list %d", tt.name, len(got), len(tt.want.DER), tt.want.Number)
		}
	}
	if lists.Takes("root") || !lists.Takes("issuing") {
		t.Error("lists of an issuer without an entry are taken, or those of the other are not")
	}
	d.config.URL = d.again
	if lists, err = directory.NewCRLPublisher(d.config); err != nil {
		t.Fatal(err)
	}
	if err := lists.Check(t.Context()); err != nil {
		t.Errorf("over StartTLS: %v", err)
	}
	checkListFaults(t, d, m)
}

// checkListFaults tries every kind of wrong configuration.
func checkListFaults(t *testing.T, d distribution, m *listMaker) {
	for _, tt := range []struct {
		name   string
		change func(*directory.CRLPublisherConfig)
		want   string
	}{
		{"wrong password", func(c *directory.CRLPublisherConfig) { c.Password = secretly("wrong") }, "signing in"},
		{"empty password", func(c *directory.CRLPublisherConfig) { c.Password = secretly("") }, "empty"},
		{"unknown CA", func(c *directory.CRLPublisherConfig) { c.Roots = x509.NewCertPool() }, "TLS"},
		{"nobody listens", func(c *directory.CRLPublisherConfig) { c.URL = "ldaps://127.0.0.1:1" }, "connecting"},
		{"no entry", func(c *directory.CRLPublisherConfig) {
			c.Entries = map[string]string{"issuing": "cn=gone," + c.Entries["issuing"]}
		}, "cn=gone"},
	} {
		c := d.config
		tt.change(&c)
		lists, err := directory.NewCRLPublisher(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lists.Put(t.Context(), m.list(99, 0, 0)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Put: %v, want it to name %q", tt.name, err, tt.want)
		}
		if err := lists.Check(t.Context()); err == nil {
			t.Errorf("%s: the check finds nothing", tt.name)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	lists, err := directory.NewCRLPublisher(d.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lists.Put(ended, m.list(99, 0, 0)); err == nil {
		t.Error("a list is copied after the end")
	}
}

// cdp is the container of CRLs in Active Directory.
const cdp = "CN=CDP,CN=Public Key Services,CN=Services,CN=Configuration," + samba.Base

func ofSamba(t *testing.T) distribution {
	dc := samba.Start(t)
	d := distribution{name: "samba", dial: dc.Dial, again: dc.StartTLSURL(), config: directory.CRLPublisherConfig{
		URL: dc.URL(), Roots: dc.Roots, User: samba.Admin, Password: secretly(samba.AdminPassword),
		Entries: map[string]string{"issuing": "CN=Example Issuing CA," + cdp},
	}}
	addEntry(t, d, d.config.Entries["issuing"])
	// An account without write permission gets an error, and the entry does not change.
	reader := d.config
	m := newListMaker(t)
	reader.User, reader.Password, reader.Signers = samba.Reader, secretly(samba.ReaderPassword), m.signers()
	lists, err := directory.NewCRLPublisher(reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lists.Put(t.Context(), m.list(5, 0, 0)); !ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) {
		t.Errorf("Put as a reader: %v, want insufficient rights", err)
	}
	return d
}
