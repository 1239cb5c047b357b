package succession_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/audit"
	"certportal/internal/succession"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// bench is a line over a database, with a folder and a clock that the test moves.
type bench struct {
	*succession.Line
	db      *store.DB
	folder  []ca.Authority
	broken  error // of the folder
	locked  error // of the key
	clock   error // what is wrong with it
	log     bytes.Buffer
	opening func() // called while the key is opened
	now     time.Time
	changes int
}

func newBench(t *testing.T, db *store.DB) *bench {
	t.Helper()
	b := &bench{db: db, now: testkit.Noon}
	b.Line = testkit.Must(succession.New(succession.Config{
		Store: db, Folder: func() ([]ca.Authority, error) { return b.folder, b.broken }, Changed: func() { b.changes++ },
		Opens: b.opens, Due: func() error { return b.clock },
		Now: func() time.Time { return b.now }, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	}))(t)
	return b
}

func (b *bench) opens(ca.Authority) error {
	if b.opening != nil {
		b.opening()
	}
	return b.locked
}

// plan sets when the second CA becomes active by itself.
func (b *bench) plan(t *testing.T, at time.Time) {
	t.Helper()
	testkit.NoError(t, b.db.ScheduleAuthority(t.Context(), "issuing-2", at, fixture.NewEntry(testkit.Noon, audit.CAScheduled, "")))
}

// newBenchOfTwo has a CA that issues and a pending one.
func newBenchOfTwo(t *testing.T, db *store.DB) *bench {
	t.Helper()
	b := newBench(t, db)
	b.folder = []ca.Authority{authority(t, "issuing"), authority(t, "issuing-2")}
	b.refresh(t)
	return b
}

// authority is an issuing CA of its own root.
func authority(t *testing.T, name string) ca.Authority {
	t.Helper()
	h := fixture.NewHierarchy(t, ca.ECP256, testkit.Noon)
	return ca.Authority{Name: name, Certificate: h.Issuing, Chain: []*x509.Certificate{h.Root}}
}

func (b *bench) refresh(t *testing.T) {
	t.Helper()
	testkit.NoError(t, b.Refresh(t.Context()))
}

// states are the names and states of all that the line knows.
func (b *bench) states() string {
	var list []string
	for _, a := range b.All() {
		list = append(list, a.Name+" "+string(a.Record.State))
	}
	for _, r := range b.Missing() {
		list = append(list, r.Name+" missing")
	}
	return strings.Join(list, ", ")
}

// The first CA of an installation is active; what comes later is pending until its time.
func TestLineFollowsFolderAndPlan(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		b := newBench(t, fixture.Open(t, address))
		b.refresh(t)
		testkit.Equal(t, "no CA", b.states(), "")
		b.folder = []ca.Authority{authority(t, "issuing")}
		b.refresh(t)
		testkit.Equal(t, "the first", b.states(), "issuing active")
		b.folder = append(b.folder, authority(t, "issuing-2"))
		b.refresh(t)
		testkit.Equal(t, "a second", b.states(), "issuing active, issuing-2 pending")
		testkit.Equal(t, "changes", b.changes, 2)
		b.refresh(t)
		testkit.Equal(t, "changes without one", b.changes, 2)

		at := testkit.Noon.Add(time.Hour)
		testkit.NoError(t, b.db.ScheduleAuthority(t.Context(), "issuing-2", at, fixture.NewEntry(testkit.Noon, audit.CAScheduled, "")))
		b.now = at.Add(-time.Second)
		b.refresh(t)
		testkit.Equal(t, "a second before", b.states(), "issuing active, issuing-2 pending")
		replica := newBench(t, fixture.Open(t, address))
		replica.folder, replica.now = b.folder, at
		replica.refresh(t)
		testkit.Equal(t, "on time", replica.states(), "issuing retiring, issuing-2 active")
		b.refresh(t) // its clock is a second late, and follows all the same
		testkit.Equal(t, "on the other replica", b.states(), "issuing retiring, issuing-2 active")
		if of, ok := b.Active(); !ok || of.Name != "issuing-2" {
			t.Errorf("active: got %s", of.Name)
		}
		b.now = at.Add(2 * time.Hour)
		b.refresh(t)
		testkit.Equal(t, "without certificates", b.states(), "issuing retired, issuing-2 active")
	})
}

// A replica whose folder lacks the active CA issues nothing, and one with another
// certificate under its name neither.
func TestReplicaWithoutTheFiles(t *testing.T) {
	db := fixture.Open(t, fixture.SQLite(t))
	b := newBench(t, db)
	b.folder = []ca.Authority{authority(t, "issuing"), authority(t, "issuing-2")}
	b.refresh(t)
	testkit.NoError(t, db.ActivateAuthority(t.Context(), "issuing-2", testkit.Noon, fixture.NewEntry(testkit.Noon, audit.CAActivated, "")))
	for name, folder := range map[string][]ca.Authority{
		"lacks it": b.folder[:1], "has another": {b.folder[0], authority(t, "issuing-2")},
	} {
		replica := newBench(t, db)
		replica.folder = folder
		replica.refresh(t)
		testkit.Equal(t, name, replica.states(), "issuing retiring, issuing-2 missing")
		if of, ok := replica.Active(); ok {
			t.Errorf("%s: %s is active", name, of.Name)
		}
	}
}

// A folder that cannot be read changes nothing.
func TestFolderIsAway(t *testing.T) {
	b := newBench(t, fixture.Open(t, fixture.SQLite(t)))
	b.folder = []ca.Authority{authority(t, "issuing")}
	b.refresh(t)
	b.broken = fs.ErrPermission
	if err := b.Refresh(t.Context()); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	testkit.Equal(t, "states", b.states(), "issuing active")
}

// A plan is carried out only where the CA can issue: where its files are, its key opens, and
// the clock is right. Elsewhere it waits, which is logged once and stops nothing else.
func TestPlanWaits(t *testing.T) {
	db := fixture.Open(t, fixture.SQLite(t))
	b := newBenchOfTwo(t, db)
	b.plan(t, testkit.Noon)
	whole := b.folder
	b.folder = whole[:1]
	b.refresh(t)
	testkit.Contains(t, "log without its files", b.log.String(), "not activated as planned: its files are not in")
	b.folder, b.locked = whole, fs.ErrPermission
	b.refresh(t)
	b.refresh(t)
	testkit.Equal(t, "log without its key", strings.Count(b.log.String(), fs.ErrPermission.Error()), 1)
	b.locked, b.clock = nil, errors.New("20 minutes ahead")
	b.refresh(t)
	testkit.Equal(t, "states", b.states(), "issuing active, issuing-2 pending")
	b.clock = nil
	b.refresh(t)
	testkit.Equal(t, "states with files, key and clock", b.states(), "issuing retiring, issuing-2 active")
	b.clock, b.now = errors.New("a day ahead"), b.now.Add(24*time.Hour)
	b.refresh(t)
	testkit.Equal(t, "states a day ahead", b.states(), "issuing retiring, issuing-2 active")
}

// A command records what is new in the folder, and carries out no plan: it does not compare
// its clock.
func TestCommandCarriesOutNoPlan(t *testing.T) {
	db := fixture.Open(t, fixture.SQLite(t))
	b := newBenchOfTwo(t, db)
	b.plan(t, testkit.Noon)
	command := testkit.Must(succession.New(succession.Config{
		Store: db, Folder: func() ([]ca.Authority, error) { return b.folder, nil }, Now: func() time.Time { return b.now.Add(time.Hour) },
	}))(t)
	testkit.NoError(t, command.Refresh(t.Context()))
	if of, ok := command.Active(); !ok || of.Name != "issuing" {
		t.Errorf("active: got %s", of.Name)
	}
}

// A plan that was taken back or postponed while another portal opened the key is not carried
// out.
func TestPlanIsTakenBackWhileTheKeyOpens(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		b := newBenchOfTwo(t, fixture.Open(t, address))
		for _, to := range []time.Time{{}, testkit.Noon.Add(time.Hour)} {
			b.plan(t, testkit.Noon)
			b.opening = func() { b.plan(t, to) }
			b.refresh(t)
			testkit.Equal(t, "states", b.states(), "issuing active, issuing-2 pending")
		}
		b.opening = nil
		b.plan(t, testkit.Noon)
		b.refresh(t)
		testkit.Equal(t, "planned again", b.states(), "issuing retiring, issuing-2 active")
	})
}

// A certificate leads to the CA that issued it, also where names are equal.
func TestAuthorityOfACertificate(t *testing.T) {
	b := newBench(t, fixture.Open(t, fixture.SQLite(t)))
	b.folder = []ca.Authority{authority(t, "issuing"), authority(t, "issuing-2")}
	b.refresh(t)
	for _, of := range b.folder {
		issued := &x509.Certificate{RawIssuer: of.Certificate.RawSubject, AuthorityKeyId: of.Certificate.SubjectKeyId}
		if found, ok := b.Of(issued); !ok || found.Name != of.Name {
			t.Errorf("of %s: got %s", of.Name, found.Name)
		}
	}
	if found, ok := b.Of(authority(t, "issuing").Certificate); ok {
		t.Errorf("of a stranger: got %s", found.Name)
	}
}

// TestA13_SameSerialOfAnotherCA: a company that builds its CA anew begins its serial numbers
// anew. A revoked certificate with the serial of one that issues does not revoke it.
func TestA13_SameSerialOfAnotherCA(t *testing.T) {
	db := fixture.Store(t)
	b := newBench(t, db)
	b.folder = []ca.Authority{authority(t, "issuing")}
	b.refresh(t)
	cert := b.folder[0].Certificate
	testkit.Must(db.Replay(t.Context(), []crl.Record{{
		Seq: 7, Hash: "of another history", Issuer: "root", Serial: testkit.Must(ca.SerialOf(cert.SerialNumber))(t),
		NotAfter: cert.NotAfter.AddDate(-1, 0, 0), Revoked: b.now.Add(-time.Hour), Reason: 1,
	}}, b.now))(t)
	b.refresh(t)
	testkit.Equal(t, "states", b.states(), "issuing active")
}

// unrevoking is a database that cannot record the revocation of a CA.
type unrevoking struct{ *store.DB }

func (unrevoking) RevokeAuthority(context.Context, succession.Revocation, audit.Entry) error {
	return fs.ErrClosed
}

// TestF15_RevocationThatIsNotRecordedIsAnError: unlike a plan that has to wait, it stops a
// start: the CA would go on issuing.
func TestF15_RevocationThatIsNotRecordedIsAnError(t *testing.T) {
	db := fixture.Store(t)
	b := newBench(t, db)
	b.folder = []ca.Authority{authority(t, "issuing")}
	b.refresh(t)
	cert := b.folder[0].Certificate
	testkit.Must(db.Replay(t.Context(), []crl.Record{{
		Seq: 7, Hash: "of another history", Issuer: "root", Serial: testkit.Must(ca.SerialOf(cert.SerialNumber))(t),
		NotAfter: cert.NotAfter, Revoked: b.now.Add(-time.Hour), Reason: 1,
	}}, b.now))(t)
	line := testkit.Must(succession.New(succession.Config{
		Store: unrevoking{db}, Folder: func() ([]ca.Authority, error) { return b.folder, nil }, Now: func() time.Time { return b.now },
	}))(t)
	if err := line.Refresh(t.Context()); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v, want that the revocation is not recorded", err)
	}
}

// TestF15_OlderCopyKeepsTheRevocation: the records are an older copy, in which the CA
// issues, and the journal brought its revocation back. It is revoked again, on its own.
func TestF15_OlderCopyKeepsTheRevocation(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		db := fixture.Open(t, address)
		b := newBench(t, db)
		b.folder = []ca.Authority{authority(t, "issuing")}
		b.refresh(t)
		testkit.Equal(t, "older copy", b.states(), "issuing active")
		cert := b.folder[0].Certificate
		record := crl.Record{
			Seq: 7, Hash: "of another history", Issuer: "root", Serial: testkit.Must(ca.SerialOf(cert.SerialNumber))(t), NotAfter: cert.NotAfter,
			Revoked: b.now.Add(-time.Hour), Reason: 1,
		}
		testkit.Must(db.Replay(t.Context(), []crl.Record{record}, b.now))(t)
		b.refresh(t)
		testkit.Equal(t, "after the journal", b.states(), "issuing revoked")
		r := b.All()[0].Record
		testkit.Equal(t, "since", r.RevokedAt, record.Revoked)
		testkit.Equal(t, "reason", r.Reason, 1)
		b.refresh(t)
		testkit.Equal(t, "entries", len(fixture.EntriesOf(t, db, audit.CARevoked)), 1)
	})
}
