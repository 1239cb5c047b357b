package drift_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

func TestMain(m *testing.M) { fixture.Main(m) }

const (
	grace = drift.DefaultGrace
	every = drift.DefaultEvery
)

// harness is a watch over a real store and the built-in directory; the test controls
// the clock and faults of the directory.
type harness struct {
	*drift.Watch
	t       *testing.T
	address string
	db      *store.DB
	people  *directory.Builtin
	clock   *testkit.Clock
	revoked atomic.Int32 // how often a new CRL was asked for
	log     *testkit.Log
	fault   fault
	source  string // of the directory; empty for the first one
	action  drift.ProtectedAction
}

// fault alters the directory's answers. The zero value changes nothing.
type fault struct {
	drift.Directory
	many   func(context.Context, []portal.Person, error) ([]portal.Person, error)
	one    func(context.Context, portal.Person, error) (portal.Person, error)
	groups func(context.Context) (map[portal.PersonID]bool, error)
	owners func(context.Context, []string) (map[string][]portal.PersonID, error)
}

func (f *fault) Protected(ctx context.Context) (map[portal.PersonID]bool, error) {
	if f.groups != nil {
		return f.groups(ctx)
	}
	return f.Directory.Protected(ctx)
}

func (f *fault) UPNOwners(ctx context.Context, upns []string) (map[string][]portal.PersonID, error) {
	if f.owners != nil {
		return f.owners(ctx, upns)
	}
	return f.Directory.UPNOwners(ctx, upns)
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

// mend removes all faults.
func (f *fault) mend() { f.many, f.one, f.groups, f.owners = nil, nil, nil, nil }

// newHarness has one holder for each login, on a database at the address.
func newHarness(t *testing.T, address string, logins ...string) *harness {
	t.Helper()
	c := &harness{t: t, address: address, clock: testkit.NewClock(), log: testkit.NewLog(t)}
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

// open starts the portal, as after a restart.
func (c *harness) open() {
	c.t.Helper()
	c.db = testkit.Must(store.Open(context.Background(), store.Config{URL: c.address}))(c.t)
	c.people = testkit.Must(directory.NewBuiltin(c.db))(c.t)
	c.fault.Directory = c.people
	c.Watch = c.watch(c.db)
}

func (c *harness) watch(db *store.DB) *drift.Watch {
	c.t.Helper()
	return c.watchOf(&c.fault, db)
}

// watchOf is a replica with its own way to the directory.
func (c *harness) watchOf(d drift.Directory, db drift.Store) *drift.Watch {
	c.t.Helper()
	return testkit.Must(drift.New(drift.Config{
		Directory: d, Store: db, Replicas: true, Revoked: func() { c.revoked.Add(1) },
		Source: cmp.Or(c.source, "builtin"), Protected: c.action,
		Now: c.clock.Now, Log: c.log.Logger(),
	}))(c.t)
}

func staff(n int) []string {
	var logins []string
	for i := range n {
		logins = append(logins, fmt.Sprintf("p%03d", i))
	}
	return logins
}

func (c *harness) entry() audit.Entry { return audit.Entry{At: c.clock.Now(), Actor: "test"} }

// hire adds an account without password, because hashing takes long.
func (c *harness) hire(login string) {
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

func (c *harness) disable(logins ...string) { c.switchOff(true, logins...) }
func (c *harness) enable(logins ...string)  { c.switchOff(false, logins...) }

func (c *harness) switchOff(disabled bool, logins ...string) {
	c.t.Helper()
	for _, login := range logins {
		if err := c.people.SetDisabled(c.t.Context(), login, disabled, c.entry()); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *harness) remove(logins ...string) {
	c.t.Helper()
	for _, login := range logins {
		if err := c.people.Remove(c.t.Context(), login, c.entry()); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *harness) change(login string, how func(*portal.Account)) {
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

// issue gives a person a device with a certificate of their current directory record.
func (c *harness) issue(login string) ca.Serial {
	c.t.Helper()
	ctx := context.Background()
	person := testkit.Must(c.people.Person(ctx, portal.PersonID("id-"+login)))(c.t)
	serial := fixture.NewSerial(c.t)
	certificate := fixture.SelfSigned(c.t, serial, c.clock.Now(), c.clock.Now().AddDate(1, 0, 0))
	entry := audit.Entry{At: c.clock.Now(), Actor: string(person.ID), Action: audit.CertificateReserved}
	err := c.db.Reserve(ctx, enroll.Reservation{
		Serial: serial, Kind: portal.KindUser, Profile: "User", Subject: ca.Subject{UPN: person.UPN, SID: person.SID},
		PublicKey: sha256.Sum256(certificate.RawSubjectPublicKeyInfo),
		NotBefore: certificate.NotBefore, NotAfter: certificate.NotAfter, Requested: c.clock.Now(),
		Person: person.ID, NewDevice: true, Quota: 5, Entry: entry,
		Device: portal.Device{ID: portal.DeviceID("d" + serial.String()), Person: person.ID, Name: serial.String()[:8], Platform: portal.IOS},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	entry.Action = audit.CertificateIssued
	if err := c.db.Complete(ctx, enroll.Completion{Serial: serial, Certificate: certificate, At: c.clock.Now(), Entry: entry}); err != nil {
		c.t.Fatal(err)
	}
	return serial
}

// look runs a pass that may change something.
func (c *harness) look() drift.Report {
	c.t.Helper()
	return testkit.Must(c.Once(c.t.Context(), drift.Options{Apply: true}))(c.t)
}

// certificate returns the newest certificate of the person's newest device.
func (c *harness) certificate(login string) portal.Certificate {
	c.t.Helper()
	devices := testkit.Must(c.db.Devices(context.Background(), portal.PersonID("id-"+login)))(c.t)
	if len(devices) == 0 {
		c.t.Fatalf("%s has no device", login)
	}
	return devices[0].Certificate
}

// entries reads the whole audit log and verifies its chain.
func (c *harness) entries() []audit.Entry {
	c.t.Helper()
	return fixture.Entries(c.t, c.db)
}

// count returns the number of entries of an action.
func (c *harness) count(action audit.Action) int {
	c.t.Helper()
	return fixture.Count(c.entries(), action)
}

func (c *harness) last(action audit.Action) audit.Entry {
	c.t.Helper()
	return fixture.Last(c.t, c.entries(), action)
}

// want compares the results of a pass.
func (c *harness) want(r drift.Report, marked, unmarked, revoked int, stopped drift.StopReason) {
	c.t.Helper()
	got := fmt.Sprint(r.Added, " marked, ", r.Removed, " unmarked, ", r.Revoked, " revoked, stopped: ", r.Stopped)
	want := fmt.Sprint(marked, " marked, ", unmarked, " unmarked, ", revoked, " revoked, stopped: ", stopped)
	testkit.Equal(c.t, "pass", got, want)
}
