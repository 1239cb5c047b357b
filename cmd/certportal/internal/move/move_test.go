package move

import (
	"cmp"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/sqldb"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// records are those of a portal in use, closed.
type records struct {
	address    string
	good, lost fixture.Enrolment
	journal    string
}

func newRecords(t *testing.T, address string) records {
	t.Helper()
	ctx := t.Context()
	db := testkit.Must(store.Open(ctx, store.Config{URL: address, Secret: fixture.Secret()}))(t)
	r := records{address: address, journal: filepath.Join(t.TempDir(), "revocation.journal")}
	r.good = fixture.NewEnrolment(t, "anna", "Anna's \\ \t iPhone\r\n\u4e2d").Issue(t, db)
	r.lost = fixture.NewEnrolment(t, "ben", "Phone").Issue(t, db)
	_, err := db.Revoke(ctx, enroll.Revocation{
		Serials: []ca.Serial{r.lost.Serial()}, Cause: portal.Lost, At: testkit.Noon.Add(time.Hour), Entry: fixture.NewEntry(testkit.Noon.Add(time.Hour), "", "admin"),
	})
	testkit.NoError(t, err)
	testkit.NoError(t, db.SaveSession(ctx, [32]byte{1}, "anna", []byte{0, 1, '\\', 255}, time.Hour, testkit.Noon.Add(240*time.Hour), testkit.Noon))
	j := testkit.Must(crl.OpenJournal(crl.JournalConfig{Path: r.journal, Store: db, Log: slog.New(slog.DiscardHandler)}))(t)
	testkit.NoError(t, errors.Join(j.Follow(ctx), j.Close(), db.Close()))
	return r
}

func (r records) job(to string) Job {
	return Job{
		From: r.address, To: to, Journal: r.journal, Now: func() time.Time { return testkit.Noon },
		By: audit.Entry{Actor: "operator", Role: "operator"}, Log: slog.New(slog.DiscardHandler),
	}
}

// check looks at the records in their new place, where the portal goes on.
func (r records) check(t *testing.T, address string) {
	t.Helper()
	ctx := t.Context()
	db := fixture.Open(t, address)
	was := testkit.Must(db.Certificate(ctx, r.good.Serial()))(t)
	testkit.Equal(t, "upn", was.UPN, "anna@corp.example")
	testkit.Equal(t, "anna", testkit.Must(db.Status(ctx, r.good.Serial()))(t).State, ocsp.Good)
	testkit.Equal(t, "ben", testkit.Must(db.Status(ctx, r.lost.Serial()))(t).State, ocsp.Revoked)
	session := testkit.Must(db.Session(ctx, [32]byte{1}, testkit.Noon))(t)
	testkit.Equal(t, "session", string(session), string([]byte{0, 1, '\\', 255}))
	testkit.Equal(t, "entries of the move", len(fixture.EntriesOf(t, db, audit.DatabaseMoved)), 1)
	fixture.NewEnrolment(t, "carl", "Phone").Issue(t, db)
}

// both runs a test in both directions.
func both(t *testing.T, test func(t *testing.T, r records, to string)) {
	t.Run("to postgres", func(t *testing.T) { test(t, newRecords(t, fixture.SQLite(t)), fixture.EmptyPostgres(t)) })
	t.Run("to sqlite", func(t *testing.T) {
		test(t, newRecords(t, fixture.Postgres(t)), "sqlite:"+filepath.Join(t.TempDir(), "new.db"))
	})
}

// All records are in the other engine, and none are recorded in the old one any more.
func TestF17_MoveToTheOtherEngine(t *testing.T) {
	both(t, func(t *testing.T, r records, to string) {
		ctx := t.Context()
		o := testkit.Must(Run(ctx, r.job(to)))(t)
		if o.From == o.To || o.Rows["certificates"] != 2 || o.Resumed || o.Head == "" {
			t.Errorf("outcome: %+v", o)
		}
		r.check(t, to)
		_, err := store.Open(ctx, store.Config{URL: r.address})
		if !errors.Is(err, store.ErrMoved) {
			t.Errorf("opening the old one: %v", err)
		}
		old := fixture.Open(t, r.address, func(c *store.Config) { c.Moving = true })
		if err := old.Note(ctx, fixture.NewEntry(testkit.Noon, audit.SignedIn, "anna")); err == nil {
			t.Error("the old database records an act")
		}
		if err := old.Probe(ctx); !errors.Is(err, store.ErrMoved) || !errors.Is(old.Stopped(), store.ErrMoved) {
			t.Errorf("a portal that runs on it: %v, stopped %v", err, old.Stopped())
		}
		testkit.NoError(t, old.Close())
		if _, err := Run(ctx, r.job(fixture.EmptyOf(t, to))); !errors.Is(err, store.ErrMoved) {
			t.Errorf("moving them once more: %v", err)
		}
		testkit.NoError(t, store.Reopen(ctx, r.address, fixture.NewEntry(testkit.Noon, audit.DatabaseReopened, "operator")))
		again := fixture.Open(t, r.address)
		testkit.Equal(t, "entries of the reopening", len(fixture.EntriesOf(t, again, audit.DatabaseReopened)), 1)
		where := fixture.EntriesOf(t, again, audit.DatabaseMoved)[0].Detail
		if address, err := url.Parse(to); err != nil || where["engine"] != o.To || !strings.HasSuffix(where["to"], cmp.Or(address.Path, address.Opaque)) {
			t.Errorf("the entry says %v of %s", where, to)
		}
		fixture.NewEnrolment(t, "dora", "Phone").Issue(t, again)
		testkit.NoError(t, verifyLog(ctx, again, testkit.Must(again.Head(ctx))(t)))
	})
}

// The same command after the end says that all is done, also when people use the target; with
// another target in use it says that nothing is to be dropped.
func TestF17_MoveOnceMoreAfterTheEnd(t *testing.T) {
	both(t, func(t *testing.T, r records, to string) {
		ctx := t.Context()
		done := testkit.Must(Run(ctx, r.job(to)))(t)
		for _, device := range []string{"Phone", "Tablet"} {
			o := testkit.Must(Run(ctx, r.job(to)))(t)
			if !o.Already || o.Head != done.Head || o.From != done.From || o.To != done.To {
				t.Errorf("outcome: %+v, first %+v", o, done)
			}
			db := testkit.Must(store.Open(ctx, store.Config{URL: to}))(t)
			fixture.NewEnrolment(t, "carl", device).Issue(t, db)
			testkit.NoError(t, db.Close())
		}
		other := newRecords(t, fixture.EmptyOf(t, to))
		for _, address := range []string{other.address, r.address} {
			_, err := Run(ctx, r.job(address))
			if !errors.Is(err, store.ErrMoved) || !strings.Contains(err.Error(), "drop nothing") {
				t.Errorf("to another one in use: %v", err)
			}
		}
		if _, err := Run(ctx, records{address: to}.job(to)); !errors.Is(err, ErrUsed) || !strings.Contains(err.Error(), "drop nothing") {
			t.Errorf("to itself: %v", err)
		}
	})
}

// A target in use is refused and stays as it is, and the source goes on.
func TestF17_MoveRefusesATargetInUse(t *testing.T) {
	both(t, func(t *testing.T, r records, to string) {
		ctx := t.Context()
		used := fixture.Open(t, to)
		fixture.NewEnrolment(t, "carl", "Phone").Issue(t, used)
		head := testkit.Must(used.Head(ctx))(t)
		if _, err := Run(ctx, r.job(to)); !errors.Is(err, ErrUsed) {
			t.Errorf("got %v, want ErrUsed", err)
		}
		testkit.Equal(t, "head", testkit.Must(used.Head(ctx))(t), head)
		fixture.NewEnrolment(t, "dora", "Phone").Issue(t, fixture.Open(t, r.address))
	})
}

// A portal on PostgreSQL that is still connected keeps the move away.
func TestF17_MoveRefusesASourceInUse(t *testing.T) {
	r := newRecords(t, fixture.Postgres(t))
	portal := fixture.Open(t, r.address)
	to := filepath.Join(t.TempDir(), "new.db")
	if _, err := Run(t.Context(), r.job(to)); !errors.Is(err, sqldb.ErrOthers) {
		t.Errorf("got %v, want ErrOthers", err)
	}
	fixture.NewEnrolment(t, "dora", "Phone").Issue(t, portal)
}

// A journal that knows more than the records stops the move.
func TestF17_MoveRefusesAnOlderCopy(t *testing.T) {
	both(t, func(t *testing.T, r records, to string) {
		journal := testkit.Must(os.ReadFile(r.journal))(t)
		other := newRecords(t, fixture.SQLite(t))
		r.journal = other.journal
		if _, err := Run(t.Context(), r.job(to)); err == nil {
			t.Error("a journal of another portal was taken")
		}
		testkit.NoError(t, os.WriteFile(r.journal, journal, 0o600))
		testkit.Must(Run(t.Context(), r.job(to)))(t) // begins again in the target
		db := fixture.Open(t, to)
		testkit.Must(db.Certificate(t.Context(), r.good.Serial()))(t)
	})
}

// At each point at which a move can end early, the same command ends it.
func TestF17_MoveGoesOnAfterEachPoint(t *testing.T) {
	both(t, func(t *testing.T, r records, to string) {
		ctx := t.Context()
		m := testkit.Must(store.NewMove(ctx, r.address, to))(t)
		testkit.NoError(t, m.Target.Fill(ctx, m.Source))
		if m.Source.Engine == sqldb.SQLite {
			if _, err := store.Open(ctx, store.Config{URL: to}); !errors.Is(err, store.ErrMoving) {
				t.Errorf("opening the target before the end: %v", err)
			}
		}
		testkit.NoError(t, m.Close()) // killed after the copy: the source goes on
		db := testkit.Must(store.Open(ctx, store.Config{URL: r.address}))(t)
		later := fixture.NewEnrolment(t, "dora", "Phone").Issue(t, db)
		testkit.NoError(t, db.Close())
		testkit.NoError(t, os.Remove(r.journal))

		m = testkit.Must(store.NewMove(ctx, r.address, to))(t)
		testkit.NoError(t, m.Target.Fill(ctx, m.Source))
		testkit.NoError(t, errors.Join(m.Keep(ctx), m.Close())) // killed after the mark
		o := testkit.Must(Run(ctx, r.job(to)))(t)
		testkit.Equal(t, "resumed", o.Resumed, true)
		db = fixture.Open(t, to)
		testkit.Equal(t, "dora", testkit.Must(db.Status(ctx, later.Serial()))(t).State, ocsp.Good)
	})
}
