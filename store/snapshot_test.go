package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/sqldb"
)

// A snapshot shows one moment: what is written while it is read is not in it.
func TestSnapshotShowsOneMoment(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, folder := t.Context(), t.TempDir()
		fixture.NewEnrolment(t, anna, "Phone").Issue(t, db)
		s := testkit.Must(db.Snapshot(ctx, folder))(t)
		head := testkit.Must(store.HeadOf(ctx, s))(t)
		fixture.NewEnrolment(t, "ben", "Phone").Issue(t, db)
		var certificates int
		testkit.NoError(t, s.One(ctx, "SELECT count(*) FROM certificates", &certificates))
		testkit.Equal(t, "certificates", certificates, 1)
		testkit.Equal(t, "head", testkit.Must(store.HeadOf(ctx, s))(t), head)
		testkit.Equal(t, "schema", s.Schema, testkit.Must(store.SchemaVersion())(t))
		for i := range s.Tables {
			var text bytes.Buffer
			if s.Engine == sqldb.Postgres {
				testkit.NoError(t, s.CopyTable(ctx, &s.Tables[i], &text))
			}
			if s.Tables[i].Name == "certificates" {
				testkit.Equal(t, "rows", s.Tables[i].Rows, 1)
			}
		}
		testkit.NoError(t, s.Close())
		if left := testkit.Must(os.ReadDir(folder))(t); len(left) != 0 {
			t.Errorf("left in the folder: %v", left)
		}
	})
}

// loaded fills a database from another one.
func loaded(t *testing.T, from *store.DB, to string) error {
	t.Helper()
	ctx := t.Context()
	s := testkit.Must(from.Snapshot(ctx, ""))(t)
	defer s.Close()
	l, err := store.NewLoad(ctx, to, s.Schema)
	if err != nil {
		return err
	}
	defer l.Close(ctx)
	for i := range s.Tables {
		var text bytes.Buffer
		testkit.NoError(t, s.CopyTable(ctx, &s.Tables[i], &text))
		n := testkit.Must(l.Table(ctx, s.Tables[i], &text))(t)
		testkit.Equal(t, "rows of "+s.Tables[i].Name, n, s.Tables[i].Rows)
	}
	ended := testkit.Must(store.EndLoaded(ctx, l, testkit.Noon))(t)
	testkit.Equal(t, "reason", ended.Detail["reason"], admin.RestoredCopy)
	return l.Commit(ctx)
}

// TestF15_AKilledRestoreLeavesNoRights: after the commit of what was loaded nothing more is
// done, and no session, hand-off, code or challenge of the copy is open.
func TestF15_AKilledRestoreLeavesNoRights(t *testing.T) {
	ctx := t.Context()
	from := &database{DB: fixture.Open(t, fixture.Postgres(t))}
	handoff := offered(t, from, anna, 1, testkit.Noon) // with the session of the number
	code := invited(t, from, anna, 1, testkit.Noon)
	challenge := addChallenge(t, from, fixture.NewEnrolment(t, anna, "Anna's iPhone"), "one")
	address := fixture.EmptyPostgres(t)
	testkit.NoError(t, loaded(t, from.DB, address))
	open := func(db *store.DB) map[string]bool {
		_, session := db.Session(ctx, [32]byte{1}, testkit.Noon)
		_, byCode := db.OpenHandoff(ctx, handoff.CodeHash, testkit.Noon)
		_, bySecret := db.ChallengeBySecret(ctx, challenge.SecretHash)
		return map[string]bool{
			"session": session == nil, "hand-off": byCode == nil, "challenge": bySecret == nil,
			"code": testkit.Must(db.Invitation(ctx, code.ID))(t).State == signin.InvitationOpen,
		}
	}
	after := open(fixture.Open(t, address))
	for what, is := range open(from.DB) {
		if !is || after[what] {
			t.Errorf("%s: open before %v, after %v, want before only", what, is, after[what])
		}
	}
}

// TestF15_ALoadedDatabaseIsHaltedAndWhole: PostgreSQL only, as SQLite's copy is a file.
func TestF15_ALoadedDatabaseIsHaltedAndWhole(t *testing.T) {
	ctx := t.Context()
	from := fixture.Open(t, fixture.Postgres(t))
	kept := fixture.NewEnrolment(t, anna, "Anna's \\ \t iPhone\n\u4e2d").Issue(t, from)
	address := fixture.EmptyPostgres(t)
	testkit.NoError(t, loaded(t, from, address))
	if err := loaded(t, from, address); !errors.Is(err, sqldb.ErrNotEmpty) {
		t.Errorf("a used database: got %v, want ErrNotEmpty", err)
	}
	db := fixture.Open(t, address)
	halt := testkit.Must(db.Halted(ctx))(t)
	testkit.Equal(t, "halt", halt.Reason, admin.RestoredCopy)
	wantRefusal(t, db.Reserve(ctx, fixture.NewEnrolment(t, "ben", "Phone").Reservation), portal.Halted)
	if differ := testkit.Must(db.Mismatches(ctx, 5))(t); len(differ) > 0 {
		t.Errorf("differ: %v", differ[0])
	}
	was, is := testkit.Must(from.Certificate(ctx, kept.Serial()))(t), testkit.Must(db.Certificate(ctx, kept.Serial()))(t)
	if !bytes.Equal(was.DER, is.DER) || was.UPN != is.UPN {
		t.Errorf("certificate: got %+v, want %+v", is, was)
	}
}

// Of two restores into one database at the same time, one fills it.
func TestTwoLoadsAtOnce(t *testing.T) {
	from := fixture.Open(t, fixture.Postgres(t))
	address := fixture.EmptyPostgres(t)
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i := range errs {
		both.Go(func() { errs[i] = loaded(t, from, address) })
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), sqldb.ErrNotEmpty) {
		t.Errorf("got %v and %v, want that one fills it and one finds tables", errs[0], errs[1])
	}
}

// A table or column that the schema lacks comes from no backup of this program.
func TestLoadRefusesUnknownTables(t *testing.T) {
	ctx := t.Context()
	l := testkit.Must(store.NewLoad(ctx, fixture.EmptyPostgres(t), testkit.Must(store.SchemaVersion())(t)))(t)
	defer l.Close(ctx)
	for _, table := range []sqldb.Table{
		{Name: "nothing", Columns: []string{"a"}}, {Name: "people", Columns: []string{"id", `x"; DROP TABLE halt; --`}},
		{Name: "people"}, {Name: "goose_db_version", Columns: []string{"version_id"}},
	} {
		if _, err := l.Table(ctx, table, bytes.NewReader(nil)); !errors.Is(err, sqldb.ErrUnknownTable) {
			t.Errorf("%+v: got %v, want ErrUnknownTable", table, err)
		}
	}
	_, err := store.NewLoad(ctx, fixture.EmptyPostgres(t), 99_999)
	if !errors.Is(err, sqldb.ErrSchemaNewer) {
		t.Errorf("newer schema: %v", err)
	}
}

// A copy with a changed page is found.
func TestF11_CheckFileFindsADamagedPage(t *testing.T) {
	db := fixture.Store(t)
	fixture.NewEnrolment(t, anna, "Phone").Issue(t, db)
	s := testkit.Must(db.Snapshot(t.Context(), t.TempDir()))(t)
	content := testkit.Must(os.ReadFile(s.File))(t)
	testkit.NoError(t, s.Close())
	file := filepath.Join(t.TempDir(), "copy.db")
	testkit.NoError(t, os.WriteFile(file, content, 0o600))
	_, tables, err := sqldb.CheckFile(t.Context(), file)
	if err != nil || len(tables) < 20 {
		t.Fatalf("whole file: %d tables, %v", len(tables), err)
	}
	for i := range 4096 { // the second page
		content[4096+i] ^= 0xff
	}
	testkit.NoError(t, os.WriteFile(file, content, 0o600))
	if _, _, err := sqldb.CheckFile(t.Context(), file); err == nil {
		t.Error("a damaged page was not found")
	}
}

// TestF15_CheckpointEmptiesTheJournal: after it the file alone has all that was committed, and
// one that could not move all of it says so.
func TestF15_CheckpointEmptiesTheJournal(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		fixture.NewEnrolment(t, anna, "Phone").Issue(t, db)
		wal := strings.TrimPrefix(db.address, "sqlite:") + "-wal"
		if db.Shared() {
			testkit.NoError(t, db.Checkpoint(ctx))
			return
		}
		if info := testkit.Must(os.Stat(wal))(t); info.Size() == 0 {
			t.Fatal("nothing is in the journal")
		}
		read := false
		testkit.NoError(t, db.All(ctx, "SELECT serial FROM certificates", nil, func(rows *sql.Rows) error {
			read = true
			if err := db.Checkpoint(ctx); err == nil {
				t.Error("no error while a reader is in the journal")
			}
			var serial string
			return rows.Scan(&serial)
		}))
		testkit.Equal(t, "read", read, true)
		testkit.NoError(t, db.Checkpoint(ctx))
		testkit.Equal(t, "size of the journal", testkit.Must(os.Stat(wal))(t).Size(), 0)
	})
}
