package drift_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/pgtest"
	"certportal/store"
)

// postgres is started by the first test that needs it.
var postgres pgtest.Server

func TestMain(m *testing.M) {
	code := m.Run()
	postgres.Stop()
	os.Exit(code)
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	grace = drift.DefaultGrace
	every = drift.DefaultEvery
)

// company is a watch over a real store and the built-in directory; the clock and
// what may go wrong between watch and directory are the test's.
type company struct {
	*drift.Watch
	t       *testing.T
	address string
	db      *store.DB
	people  *directory.Builtin
	clock   atomic.Int64
	nudges  atomic.Int32
	log     bytes.Buffer
	logger  *slog.Logger // the only writer of log: one lock for all watches
	fault   fault
	source  string // of the directory; empty is the first one
}

// fault stands between the watch and the directory. The zero value does nothing.
type fault struct {
	drift.Directory
	many func(context.Context, []portal.Person, error) ([]portal.Person, error)
	one  func(context.Context, portal.Person, error) (portal.Person, error)
}

func (f *fault) People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	people, err := f.Directory.People(ctx, ids)
	if f.many != nil {
		return f.many(ctx, people, err)
	}
	return people, err
}

func (f *fault) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := f.Directory.Person(ctx, id)
	if f.one != nil {
		return f.one(ctx, p, err)
	}
	return p, err
}

// mend takes all faults away.
func (f *fault) mend() { f.many, f.one = nil, nil }

// newCompany has one holder for each login, on a database at the address.
func newCompany(t *testing.T, address string, logins ...string) *company {
	t.Helper()
	c := &company{t: t, address: address}
	c.clock.Store(noon.UnixMilli())
	c.logger = slog.New(slog.NewTextHandler(&c.log, nil))
	c.open()
	for _, login := range logins {
		c.hire(login)
		c.issue(login)
	}
	t.Cleanup(func() {
		c.entries()
		c.db.Close()
	})
	return c
}

// open starts the portal's part, as a restart does.
func (c *company) open() {
	c.t.Helper()
	c.db = must[*store.DB](c.t)(store.Open(context.Background(), store.Config{URL: c.address}))
	c.people = must[*directory.Builtin](c.t)(directory.NewBuiltin(c.db))
	c.fault.Directory = c.people
	c.Watch = c.watch(c.db)
}

func (c *company) watch(db *store.DB) *drift.Watch {
	c.t.Helper()
	return must[*drift.Watch](c.t)(drift.New(drift.Config{
		Directory: &c.fault, Store: db, Revoked: func() { c.nudges.Add(1) },
		Source: cmp.Or(c.source, "builtin"),
		Now:    c.now, Log: c.logger,
	}))
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "portal.db") }

// onBoth runs a test on both engines.
func onBoth(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, file(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres.Database(t)) })
}

func (c *company) now() time.Time       { return time.UnixMilli(c.clock.Load()).UTC() }
func (c *company) pass(d time.Duration) { c.clock.Add(d.Milliseconds()) }

func staff(n int) []string {
	var logins []string
	for i := range n {
		logins = append(logins, fmt.Sprintf("p%03d", i))
	}
	return logins
}

func (c *company) entry() audit.Entry { return audit.Entry{At: c.now(), Actor: "test"} }

// hire adds an account nobody can sign in to: hashing passwords takes long.
func (c *company) hire(login string) {
	c.t.Helper()
	entry := c.entry()
	entry.Action = audit.AccountAdded
	err := c.db.AddAccount(c.t.Context(), portal.Account{PasswordHash: "none", Person: portal.Person{
		ID: portal.PersonID("id-" + login), Login: login, UPN: login + "@corp.example", Name: login,
		SID: "S-1-5-21-1-2-3-" + fmt.Sprint(1000+slices.Index(staff(1000), login)), MayEnroll: true,
	}}, entry)
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *company) disable(logins ...string) { c.switchOff(true, logins...) }
func (c *company) enable(logins ...string)  { c.switchOff(false, logins...) }

func (c *company) switchOff(disabled bool, logins ...string) {
	c.t.Helper()
	for _, login := range logins {
		if err := c.people.SetDisabled(c.t.Context(), login, disabled, c.entry()); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *company) remove(logins ...string) {
	c.t.Helper()
	for _, login := range logins {
		if err := c.people.Remove(c.t.Context(), login, c.entry()); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *company) change(login string, how func(*portal.Account)) {
	c.t.Helper()
	entry := c.entry()
	entry.Action = "account.changed"
	err := c.db.ChangeAccount(c.t.Context(), portal.PersonID("id-"+login), func(a *portal.Account) error {
		how(a)
		return nil
	}, entry)
	if err != nil {
		c.t.Fatal(err)
	}
}

// issue gives somebody a device with a certificate of what the directory says.
func (c *company) issue(login string) ca.Serial {
	c.t.Helper()
	ctx := context.Background()
	person := must[portal.Person](c.t)(c.people.Person(ctx, portal.PersonID("id-"+login)))
	serial := must[ca.Serial](c.t)(ca.NewSerial(nil))
	certificate := selfSigned(c.t, serial, c.now())
	entry := audit.Entry{At: c.now(), Actor: string(person.ID), Action: audit.CertificateReserved}
	err := c.db.Reserve(ctx, enroll.Reservation{
		Serial: serial, Kind: portal.KindUser, Profile: "User", Subject: ca.Subject{UPN: person.UPN, SID: person.SID},
		PublicKey: sha256.Sum256(certificate.RawSubjectPublicKeyInfo),
		NotBefore: certificate.NotBefore, NotAfter: certificate.NotAfter, Requested: c.now(),
		Person: person.ID, NewDevice: true, Quota: 5, Entry: entry,
		Device: portal.Device{ID: portal.DeviceID("d" + serial.String()), Person: person.ID, Name: serial.String()[:8], Platform: portal.IOS},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	entry.Action = audit.CertificateIssued
	if err := c.db.Complete(ctx, enroll.Completion{Serial: serial, Certificate: certificate, At: c.now(), Entry: entry}); err != nil {
		c.t.Fatal(err)
	}
	return serial
}

func selfSigned(t testing.TB, serial ca.Serial, now time.Time) *x509.Certificate {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: serial.Big(), NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

// look makes a pass that may change something.
func (c *company) look() drift.Report {
	c.t.Helper()
	return must[drift.Report](c.t)(c.Once(c.t.Context(), drift.Options{Apply: true}))
}

// certificate is the newest of the person's newest device.
func (c *company) certificate(login string) portal.Certificate {
	c.t.Helper()
	devices := must[[]portal.Device](c.t)(c.db.Devices(context.Background(), portal.PersonID("id-"+login)))
	if len(devices) == 0 {
		c.t.Fatalf("%s has no device", login)
	}
	return devices[0].Certificate
}

// entries reads the whole ledger and verifies its chain.
func (c *company) entries() []audit.Entry {
	c.t.Helper()
	all := must[[]audit.Entry](c.t)(c.db.Entries(context.Background(), 0, 100_000))
	var head audit.Head
	for _, e := range all {
		if !e.Follows(head) {
			c.t.Fatalf("ledger entry %d does not follow the one before", e.Seq)
		}
		head = audit.Head{Seq: e.Seq, Hash: e.Hash}
	}
	return all
}

// told counts the entries of an action.
func (c *company) told(action audit.Action) int {
	c.t.Helper()
	n := 0
	for _, e := range c.entries() {
		if e.Action == action {
			n++
		}
	}
	return n
}

func (c *company) last(action audit.Action) audit.Entry {
	c.t.Helper()
	for _, e := range slices.Backward(c.entries()) {
		if e.Action == action {
			return e
		}
	}
	c.t.Fatalf("no entry %s", action)
	return audit.Entry{}
}

// want compares what a pass did.
func (c *company) want(r drift.Report, marked, unmarked, revoked int, stopped drift.StopReason) {
	c.t.Helper()
	got := fmt.Sprint(r.Added, " marked, ", r.Removed, " unmarked, ", r.Revoked, " revoked, stopped: ", r.Stopped)
	want := fmt.Sprint(marked, " marked, ", unmarked, " unmarked, ", revoked, " revoked, stopped: ", stopped)
	equal(c.t, "pass", got, want)
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
