package store_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

func TestA19_CheckpointsCannotBeRewrittenInSQL(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		_, err := db.LastCheckpoint(ctx)
		wantError(t, "seal before the first", err, portal.ErrNotFound)
		seal := audit.Checkpoint{Head: audit.Head{Seq: 7, Hash: [32]byte{1}}, At: testkit.Noon, Node: "n", Key: "0a", Signature: []byte("signed")}
		other := seal
		other.Node = "another replica"
		for _, s := range []audit.Checkpoint{seal, other} {
			if err := db.AddCheckpoint(ctx, s); err != nil {
				t.Fatal(err)
			}
		}
		for _, statement := range []string{"UPDATE ledger_seals SET seq = 8", "DELETE FROM ledger_seals"} {
			if _, err := db.plain.Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got error %v", statement, err)
			}
		}
		got := testkit.Must(db.LastCheckpoint(ctx))(t)
		testkit.Equal(t, "head", got.Head, seal.Head)
		testkit.Equal(t, "node of the first of two", got.Node, "n")
		testkit.Equal(t, "moment", got.At, testkit.Noon)
		sameBytes(t, "signature", got.Signature, seal.Signature)
	})
}

// A cursor in the audit log has one holder at a time, and the next one goes on there.
func TestCursorsHaveOneHolder(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		hold := func(holder string, at time.Time) (int64, bool) {
			t.Helper()
			seq, held, err := db.HoldCursor(ctx, "syslog", holder, at, at.Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			return seq, held
		}
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		seq, held := hold("one", testkit.Noon)
		testkit.Equal(t, "first", held && seq == 0, true)
		_, held = hold("two", testkit.Noon.Add(30*time.Second))
		testkit.Equal(t, "beside the first", held, false)
		do(db.FailCursor(ctx, "syslog", "one", "down", testkit.Noon))
		do(db.FailCursor(ctx, "syslog", "one", "still down", testkit.Noon.Add(time.Second)))
		readers := testkit.Must(db.Cursors(ctx))(t)
		testkit.Equal(t, "failure", readers[0], audit.Cursor{Name: "syslog", Failure: "still down", Since: testkit.Noon})
		do(db.AdvanceCursor(ctx, "syslog", "two", 99))
		do(db.AdvanceCursor(ctx, "syslog", "one", 5))
		do(db.AdvanceCursor(ctx, "syslog", "one", 3))
		testkit.Equal(t, "place", testkit.Must(db.Cursors(ctx))(t)[0], audit.Cursor{Name: "syslog", Seq: 5})
		seq, held = hold("two", testkit.Noon.Add(time.Minute))
		testkit.Equal(t, "after the first vanished", held && seq == 5, true)
		do(db.ReleaseCursor(ctx, "syslog", "two"))
		_, held = hold("one", testkit.Noon.Add(time.Minute))
		testkit.Equal(t, "after it was released", held, true)
	})
}
