package directory_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	"certportal/internal/test/testkit"
	testfixture "certportal/internal/test/testkit/fixture"
	"certportal/store"
)

var _ portal.Directory = (*directory.LDAP)(nil)

// fixture is a portal with a real domain controller, SQLite and an EC hierarchy.
type fixture struct {
	*enroll.Registrar
	t      testing.TB
	dc     *samba.DC
	people *directory.LDAP
	db     *store.DB
	signIn *signin.Service
	form   ca.SubjectForm // of the certificates that the next registrar issues
	ahead  atomic.Int64   // nanoseconds by which the portal's clock is ahead
}

func (fx *fixture) now() time.Time { return time.Now().Add(time.Duration(fx.ahead.Load())).UTC() }

// newFixture opens a portal with an empty domain; change may alter the configuration of the
// directory.
func newFixture(t testing.TB, change ...func(*directory.LDAPConfig)) *fixture {
	t.Helper()
	return newFixtureOver(t, samba.Lease(t), change...)
}

func newFixtureOver(t testing.TB, dc *samba.DC, change ...func(*directory.LDAPConfig)) *fixture {
	t.Helper()
	fx := &fixture{t: t, dc: dc}
	c := domain(dc)
	c.Now = fx.now
	for _, f := range change {
		f(&c)
	}
	fx.people = openLDAP(t, c)
	fx.db = testkit.Must(store.Open(t.Context(), store.Config{URL: filepath.Join(t.TempDir(), "portal.db")}))(t)
	t.Cleanup(func() { fx.db.Close() })
	fx.Registrar = fx.over(fx.people)
	fx.signIn = testkit.Must(signin.New(signin.Config{
		Directory: fx.people, Store: fx.db, NeverLocks: true, Now: fx.now, Log: slog.New(slog.DiscardHandler), Timeout: c.Timeout,
	}))(t)
	return fx
}

// over returns a registrar with another directory and the same store.
func (fx *fixture) over(people portal.Directory) *enroll.Registrar {
	fx.t.Helper()
	hierarchy := testkit.Must(ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: "Example Company", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
	}, fx.now()))(fx.t)
	profile := testkit.Must(ca.NewProfile(ca.ProfileConfig{Name: "User", Subject: fx.form}))(fx.t)
	log := slog.New(slog.DiscardHandler)
	return testkit.Must(enroll.New(enroll.Config{
		Directory: people, Issuer: testfixture.Issuer(fx.t, hierarchy), Profile: profile, Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Store: fx.db, Chain: testfixture.Chain(hierarchy), Now: fx.now, Log: log,
	}))(fx.t)
}

// domain is the configuration for a domain controller.
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

// person reads a person who must exist.
func (fx *fixture) person(e samba.Entry) portal.Person {
	fx.t.Helper()
	p, err := fx.people.Person(fx.t.Context(), idOf(e))
	if err != nil {
		fx.t.Fatalf("reading %s: %v", e.DN, err)
	}
	return p
}

var pickupKey = enroll.PickupKey{1, 2, 3}

// enrol requests a certificate for a person.
func (fx *fixture) enrol(id portal.PersonID, form string) (enroll.Enrolment, error) {
	return fx.Enroll(fx.t.Context(), enroll.Request{
		By: portal.Actor{Person: id, Role: portal.Employee, Address: "192.0.2.1", Request: "test"}, Name: fmt.Sprintf("Phone %x", sha256.Sum224([]byte(form)))[:30], Platform: portal.Android,
		Idempotent: form, PickupKey: pickupKey,
	})
}

// wantRefused requests a certificate, which must be refused for the reason, without a
// reserved serial number and with one audit entry.
func (fx *fixture) wantRefused(t *testing.T, id portal.PersonID, want portal.Reason) *portal.Refusal {
	t.Helper()
	serials, refusals := fx.serials(), fx.count(audit.EnrolmentRefused)
	_, err := fx.enrol(id, t.Name())
	refusal := refusalOf(err)
	if refusal.Reason != want {
		t.Errorf("enrolling: %v, want a refusal %q", err, want)
	}
	if got := fx.serials() - serials; got != 0 {
		t.Errorf("%d serials, want 0", got)
	}
	if got := fx.count(audit.EnrolmentRefused) - refusals; got != 1 {
		t.Errorf("%d entries of the refusal, want 1", got)
	}
	return refusal
}

// serials counts the reserved serial numbers.
func (fx *fixture) serials() int { return fx.count(audit.CertificateReserved) }

func (fx *fixture) count(action audit.Action) int {
	fx.t.Helper()
	entries, err := fx.db.Entries(context.WithoutCancel(fx.t.Context()), 0, 10000)
	if err != nil {
		fx.t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Action == action {
			n++
		}
	}
	return n
}

// refusalOf returns the refusal in an error, or one without reason.
func refusalOf(err error) *portal.Refusal {
	var refusal *portal.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &portal.Refusal{}
}
