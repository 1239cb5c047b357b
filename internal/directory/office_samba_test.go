package directory_test

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/samba"
	"certportal/store"
)

var _ portal.Directory = (*directory.LDAP)(nil)

// office is a portal over a real domain controller: SQLite, an EC hierarchy, and
// people of Active Directory.
type office struct {
	*enroll.Registrar
	t      testing.TB
	dc     *samba.DC
	people *directory.LDAP
	db     *store.DB
	signIn *signin.Service
	ahead  atomic.Int64 // nanoseconds of the portal's clock before the real one
}

func (o *office) now() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())).UTC() }

// newOffice opens a portal over a new domain controller; change may alter what
// the directory is set up with.
func newOffice(t testing.TB, change ...func(*directory.LDAPConfig)) *office {
	t.Helper()
	return officeOver(t, samba.Start(t), change...)
}

func officeOver(t testing.TB, dc *samba.DC, change ...func(*directory.LDAPConfig)) *office {
	t.Helper()
	o := &office{t: t, dc: dc}
	c := domain(dc)
	c.Now = o.now
	for _, f := range change {
		f(&c)
	}
	o.people = openLDAP(t, c)
	o.db = must[*store.DB](t)(store.Open(t.Context(), store.Config{URL: filepath.Join(t.TempDir(), "portal.db")}))
	t.Cleanup(func() { o.db.Close() })
	o.Registrar = o.over(o.people)
	o.signIn = must[*signin.Service](t)(signin.New(signin.Config{
		Directory: o.people, Store: o.db, Now: o.now, Log: slog.New(slog.DiscardHandler),
	}))
	return o
}

// over is a registrar over another directory with the same records.
func (o *office) over(people portal.Directory) *enroll.Registrar {
	o.t.Helper()
	hierarchy := must[*ca.Hierarchy](o.t)(ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: "Example Company", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
	}, o.now()))
	issuer := must[*ca.Issuer](o.t)(ca.NewIssuer(ca.IssuerConfig{Certificate: hierarchy.Issuing, Signer: hierarchy.IssuingKey}))
	profile := must[*ca.Profile](o.t)(ca.NewProfile(ca.ProfileConfig{
		Name: "User", CRLURLs: []string{"http://pki.example/crl/issuing.crl"},
	}))
	log := slog.New(slog.DiscardHandler)
	return must[*enroll.Registrar](o.t)(enroll.New(enroll.Config{
		Directory: people, Issuer: issuer, Profile: profile, Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Store: o.db, Chain: []*x509.Certificate{hierarchy.Issuing}, Now: o.now, Log: log,
	}))
}

// domain is what an administrator writes down to connect a domain.
func domain(dc *samba.DC) directory.LDAPConfig {
	return directory.LDAPConfig{
		Kind: directory.ActiveDirectory, Servers: []string{dc.URL()}, Roots: dc.Roots,
		User: samba.Reader, Password: func() (string, error) { return samba.ReaderPassword, nil },
		Domain: samba.Domain, Log: slog.New(slog.DiscardHandler),
	}
}

func openLDAP(t testing.TB, c directory.LDAPConfig) *directory.LDAP {
	t.Helper()
	people, err := directory.NewLDAP(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { people.Close() })
	return people
}

func idOf(e samba.Entry) portal.PersonID { return portal.PersonID(e.GUID) }

// person reads somebody who must be there.
func (o *office) person(e samba.Entry) portal.Person {
	o.t.Helper()
	p, err := o.people.Person(o.t.Context(), idOf(e))
	if err != nil {
		o.t.Fatalf("reading %s: %v", e.DN, err)
	}
	return p
}

var pickupKey = enroll.PickupKey{1, 2, 3}

// enrol asks for a certificate for somebody.
func (o *office) enrol(id portal.PersonID, form string) (enroll.Enrolment, error) {
	return o.Enroll(o.t.Context(), enroll.Request{
		By: portal.Actor{Person: id, Role: portal.Employee, Address: "192.0.2.1", Request: "test"}, Name: "Phone " + form, Platform: portal.Android,
		Idempotent: form, PickupKey: pickupKey,
	})
}

// wantRefused asks for a certificate that must not be: refused for the reason,
// no serial spent, one entry in the ledger.
func (o *office) wantRefused(t *testing.T, id portal.PersonID, want portal.Reason) *portal.Refusal {
	t.Helper()
	serials, refusals := o.serials(), o.count(audit.EnrolmentRefused)
	_, err := o.enrol(id, t.Name())
	refusal := refusalOf(err)
	if refusal.Reason != want {
		t.Errorf("enrolling: %v, want a refusal %q", err, want)
	}
	if got := o.serials() - serials; got != 0 {
		t.Errorf("%d serials, want 0", got)
	}
	if got := o.count(audit.EnrolmentRefused) - refusals; got != 1 {
		t.Errorf("%d entries of the refusal, want 1", got)
	}
	return refusal
}

// serials counts the serial numbers spent: each is recorded before it is signed.
func (o *office) serials() int { return o.count(audit.CertificateReserved) }

func (o *office) count(action audit.Action) int {
	o.t.Helper()
	entries, err := o.db.Entries(context.WithoutCancel(o.t.Context()), 0, 10000)
	if err != nil {
		o.t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Action == action {
			n++
		}
	}
	return n
}

// refusalOf is the refusal in an error, or one without reason.
func refusalOf(err error) *portal.Refusal {
	var refusal *portal.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &portal.Refusal{}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
