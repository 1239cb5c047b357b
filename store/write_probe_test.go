package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"certportal/internal/audit"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// A probe writes, changes nothing, and fails when writing is impossible.
func TestProbe(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		before := testkit.Must(db.DriftState(t.Context()))(t)
		for range 3 {
			if err := db.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Equal(t, "state of the watch", testkit.Must(db.DriftState(t.Context()))(t), before)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 0)
		if _, err := db.plain.ExecContext(t.Context(), "DELETE FROM watch"); err != nil {
			t.Fatal(err)
		}
		if err := db.Probe(t.Context()); err == nil {
			t.Error("a write that touched nothing passed for one")
		}
	})
}

// A program that runs while a newer one moves the schema on writes nothing more.
func TestF18_ProbeStopsWritingUnderANewerSchema(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		testkit.NoError(t, db.Stopped())
		testkit.Must(db.plain.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, TRUE)"))(t)
		testkit.NoError(t, db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna))) // not seen yet
		wantError(t, "probing", db.Probe(t.Context()), store.ErrSchemaNewer)
		wantError(t, "writing", db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)), store.ErrSchemaNewer)
		wantError(t, "stopped", db.Stopped(), store.ErrSchemaNewer)
		testkit.Equal(t, "entries, which can be read", len(fixture.Entries(t, db)), 1)
	})
}

func TestProbeOfAFileThatWasTakenAway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portal.db")
	db := opened(t, file)
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	wantMoved(t, "probing", db.Probe(t.Context()))
}

// A program that runs while the records are moved to another database writes nothing more.
func TestF17_AProgramNoticesThatItsRecordsMoved(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		testkit.NoError(t, db.CheckWritable(t.Context()))
		mark := "CREATE TRIGGER moved_away BEFORE UPDATE ON ledger_head BEGIN SELECT RAISE(ABORT, 'moved'); END"
		if db.dialect == goose.DialectPostgres {
			mark = "CREATE TRIGGER moved_away BEFORE UPDATE ON ledger_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('moved')"
		}
		testkit.Must(db.plain.ExecContext(t.Context(), mark))(t)
		wantError(t, "looking", db.CheckWritable(t.Context()), store.ErrMoved)
		wantError(t, "writing", db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)), store.ErrMoved)
		wantError(t, "stopped", db.Stopped(), store.ErrMoved)
		wantError(t, "probing", db.Probe(t.Context()), store.ErrMoved)
		testkit.Equal(t, "entries, which can be read", len(fixture.Entries(t, db)), 0)
	})
}
