package enroll_test

import (
	"context"
	"crypto/x509"
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
	"certportal/store"
)

// house is a registrar over real parts: a SQLite file, the built-in directory,
// an EC hierarchy; only the clock is the test's.
type house struct {
	*enroll.Registrar
	t       *testing.T
	dir     string
	db      *store.DB
	people  *directory.Builtin
	signIn  *signin.Service
	issuing *x509.Certificate
	clock   atomic.Int64
	revoked atomic.Int32
	anna    portal.Person
	hedi    portal.Person // helpdesk, where the test needs one
	config  enroll.Config
	key     enroll.PickupKey
}

func (h *house) now() time.Time                        { return time.UnixMilli(h.clock.Load()).UTC() }
func (h *house) pass(d time.Duration)                  { h.clock.Add(d.Milliseconds()) }
func (h *house) by() portal.Actor                      { return h.byPerson(h.anna) }
func (h *house) token(e enroll.Enrolment) enroll.Token { return h.key.Token(e.Serial) }

func (h *house) byPerson(p portal.Person) portal.Actor {
	return portal.Actor{Person: p.ID, Role: portal.Employee, Address: "192.0.2.1", Request: "test"}
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, key: enroll.PickupKey{1, 2, 3}}
	h.clock.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixMilli())
	h.dir = t.TempDir()
	h.db = must[*store.DB](t)(store.Open(t.Context(), store.Config{URL: filepath.Join(h.dir, "portal.db")}))
	t.Cleanup(func() { h.db.Close() })
	h.people = must[*directory.Builtin](t)(directory.NewBuiltin(h.db))
	h.anna = h.add("anna", "S-1-5-21-1004336348-1177238915-682003330-1101")
	hierarchy := must[*ca.Hierarchy](t)(ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: "Example Company", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
	}, h.now()))
	h.issuing = hierarchy.Issuing
	issuer := must[*ca.Issuer](t)(ca.NewIssuer(ca.IssuerConfig{Certificate: hierarchy.Issuing, Signer: hierarchy.IssuingKey}))
	profile := must[*ca.Profile](t)(ca.NewProfile(ca.ProfileConfig{
		Name: "User", CRLURLs: []string{"http://pki.example/crl/issuing.crl"},
	}))
	log := slog.New(slog.DiscardHandler)
	h.config = enroll.Config{
		Directory: h.people, Issuer: issuer, Profile: profile, Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Records: h.db, Inventory: h.db, Pickups: h.db, Quota: 2,
		Chain: []*x509.Certificate{hierarchy.Issuing}, Revoked: func() { h.revoked.Add(1) },
		Now: h.now, Log: log,
	}
	h.Registrar = must[*enroll.Registrar](t)(enroll.New(h.config))
	h.signIn = must[*signin.Service](t)(signin.New(signin.Config{
		Directory: h.people, Attempts: h.db, Records: h.db, Now: h.now, Log: log,
	}))
	return h
}

func (h *house) folder() string { return h.dir }

const password = "correct horse"

func (h *house) add(login, sid string) portal.Person {
	h.t.Helper()
	p, err := h.people.Add(h.t.Context(), directory.NewAccount{
		Login: login, UPN: login + "@corp.example", Mail: login + "@corp.example", SID: sid, Password: password,
	}, audit.Entry{At: h.now(), Actor: "test"})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// with is a registrar that differs in one part.
func (h *house) with(change func(*enroll.Config)) *enroll.Registrar {
	h.t.Helper()
	c := h.config
	change(&c)
	r, err := enroll.New(c)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) request(name, token string) enroll.Request {
	return enroll.Request{By: h.by(), Name: name, Platform: portal.Android, Idempotent: token, PickupKey: h.key}
}

func (h *house) enroll(name, token string) enroll.Enrolment {
	h.t.Helper()
	done, err := h.Enroll(h.t.Context(), h.request(name, token))
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

func (h *house) device(id portal.DeviceID) portal.Device {
	h.t.Helper()
	d, err := h.Device(h.t.Context(), h.anna.ID, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// checkLedger walks the whole chain.
func (h *house) checkLedger() []audit.Entry {
	h.t.Helper()
	entries, err := h.db.Entries(context.WithoutCancel(h.t.Context()), 0, 10000)
	if err != nil {
		h.t.Fatal(err)
	}
	var head audit.Head
	for _, e := range entries {
		if !e.Follows(head) {
			h.t.Fatalf("ledger breaks at entry %d", e.Seq)
		}
		head = audit.Head{Seq: e.Seq, Hash: e.Hash}
	}
	return entries
}

func count(entries []audit.Entry, action audit.Action) int {
	n := 0
	for _, e := range entries {
		if e.Action == action {
			n++
		}
	}
	return n
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
