package helpdesk_test

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
	"certportal/internal/authz"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store"
)

// office is a helpdesk over real parts: a SQLite file, the built-in directory and
// an EC hierarchy; only the clock is the test's.
type office struct {
	t         *testing.T
	db        *store.DB
	people    *moody
	signIn    *signin.Service
	registrar *enroll.Registrar
	config    helpdesk.Config
	desk      *helpdesk.Service
	clock     atomic.Int64
	nudged    atomic.Int32

	anna, hugo, hedi, ada, adam, wei portal.Person // employee, two of the helpdesk, two administrators, auditor
}

// moody is the directory, until it fails, and with what the built-in one cannot
// say of people.
type moody struct {
	*directory.Builtin
	fails  error
	change func(*portal.Person)
}

func (m *moody) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	if m.fails != nil {
		return portal.Person{}, m.fails
	}
	p, err := m.Builtin.Person(ctx, id)
	if m.change != nil {
		m.change(&p)
	}
	return p, err
}

func (o *office) now() time.Time       { return time.UnixMilli(o.clock.Load()).UTC() }
func (o *office) pass(d time.Duration) { o.clock.Add(d.Milliseconds()) }

func newOffice(t *testing.T, change ...func(*helpdesk.Config)) *office {
	t.Helper()
	o := &office{t: t}
	o.clock.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixMilli())
	o.db = must[*store.DB](t)(store.Open(t.Context(), store.Config{URL: filepath.Join(t.TempDir(), "portal.db")}))
	t.Cleanup(func() { o.db.Close() })
	o.people = &moody{Builtin: must[*directory.Builtin](t)(directory.NewBuiltin(o.db))}
	o.anna = o.add("anna", "Anna Schmidt")
	o.hugo, o.hedi = o.add("hugo", "Hugo Weber", portal.Helpdesk), o.add("hedi", "Hedi Help", portal.Helpdesk)
	o.ada, o.adam = o.add("ada", "Ada King", portal.Admin), o.add("adam", "Adam Root", portal.Admin)
	o.wei = o.add("wei", "李伟", portal.Auditor)
	o.open()
	o.config = helpdesk.Config{
		Directory: o.people, Store: o.db, Registrar: o.registrar, Attempts: o.db, Codes: o.signIn,
		Now: o.now, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o.config)
	}
	o.desk = must[*helpdesk.Service](t)(helpdesk.New(o.config))
	return o
}

func (o *office) open() {
	o.t.Helper()
	hierarchy := must[*ca.Hierarchy](o.t)(ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: "Example Company", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
	}, o.now()))
	issuer := must[*ca.Issuer](o.t)(ca.NewIssuer(ca.IssuerConfig{Certificate: hierarchy.Issuing, Signer: hierarchy.IssuingKey}))
	profile := must[*ca.Profile](o.t)(ca.NewProfile(ca.ProfileConfig{Name: "User", CRLURLs: []string{"http://pki.example/crl/issuing.crl"}}))
	log := slog.New(slog.DiscardHandler)
	o.registrar = must[*enroll.Registrar](o.t)(enroll.New(enroll.Config{
		Directory: o.people, Issuer: issuer, Profile: profile, Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Records: o.db, Inventory: o.db, Pickups: o.db, Chain: []*x509.Certificate{hierarchy.Issuing},
		Revoked: func() { o.nudged.Add(1) }, Now: o.now, Log: log,
	}))
	o.signIn = must[*signin.Service](o.t)(signin.New(signin.Config{
		Directory: o.people, Attempts: o.db, Records: o.db, Invitations: o.db, CodeAlone: true, Now: o.now, Log: log,
	}))
}

func (o *office) add(login, name string, roles ...portal.Role) portal.Person {
	o.t.Helper()
	p := portal.Person{
		ID: portal.PersonID("id-of-" + login), Login: login, UPN: login + "@corp.example", Mail: login + "@corp.example",
		Name: name, Roles: roles, MayEnroll: true,
	}
	err := o.db.AddAccount(o.t.Context(), portal.Account{Person: p, PasswordHash: "x"}, audit.Entry{At: o.now(), Action: audit.AccountAdded})
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

func as(p portal.Person) portal.Actor {
	return portal.Actor{Person: p.ID, Record: &p, Address: "192.0.2.4", Request: "REQ"}
}

func order(p portal.Person) helpdesk.InviteRequest {
	return helpdesk.InviteRequest{Person: p.ID, Check: signin.CheckInPerson, Purpose: signin.ForNew}
}

// device enrols a device of somebody.
func (o *office) device(p portal.Person, name string) portal.DeviceID {
	o.t.Helper()
	done, err := o.registrar.Enroll(o.t.Context(), enroll.Request{
		By: portal.Actor{Person: p.ID, Role: portal.Employee}, Name: name, Platform: portal.IOS, Idempotent: name,
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return done.Device
}

// entries are the ledger's, of one action where one is named.
func (o *office) entries(action audit.Action) []audit.Entry {
	o.t.Helper()
	all, err := o.db.Entries(context.WithoutCancel(o.t.Context()), 0, 10000)
	if err != nil {
		o.t.Fatal(err)
	}
	var found []audit.Entry
	for _, e := range all {
		if e.Action == action {
			found = append(found, e)
		}
	}
	return found
}

func wantDenied(t *testing.T, err error, why authz.Reason) {
	t.Helper()
	if got := authz.ReasonOf(err); got != why {
		t.Errorf("got %v, want a denial: %s", err, why)
	}
}

func wantRefusal(t *testing.T, err error, reason portal.Reason) {
	t.Helper()
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != reason {
		t.Errorf("got %v, want refusal %s", err, reason)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
