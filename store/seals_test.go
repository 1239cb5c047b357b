package store_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

func TestA19_SealsCannotBeRewrittenInSQL(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		_, err := db.LastCheckpoint(ctx)
		wantError(t, "seal before the first", err, portal.ErrNotFound)
		seal := audit.Checkpoint{Head: audit.Head{Seq: 7, Hash: [32]byte{1}}, At: noon, Node: "n", Key: "0a", Signature: []byte("signed")}
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
		got := must[audit.Checkpoint](t)(db.LastCheckpoint(ctx))
		equal(t, "head", got.Head, seal.Head)
		equal(t, "node of the first of two", got.Node, "n")
		equal(t, "moment", got.At, noon)
		sameBytes(t, "signature", got.Signature, seal.Signature)
	})
}

// A place in the ledger has one reader at a time, and the next goes on there.
func TestReadersTakeTurns(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
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
		seq, held := hold("one", noon)
		equal(t, "first", held && seq == 0, true)
		_, held = hold("two", noon.Add(30*time.Second))
		equal(t, "beside the first", held, false)
		do(db.FailCursor(ctx, "syslog", "one", "down", noon))
		do(db.FailCursor(ctx, "syslog", "one", "still down", noon.Add(time.Second)))
		readers := must[[]audit.Cursor](t)(db.Cursors(ctx))
		equal(t, "failure", readers[0], audit.Cursor{Name: "syslog", Failure: "still down", Since: noon})
		do(db.AdvanceCursor(ctx, "syslog", "two", 99))
		do(db.AdvanceCursor(ctx, "syslog", "one", 5))
		do(db.AdvanceCursor(ctx, "syslog", "one", 3))
		equal(t, "place", must[[]audit.Cursor](t)(db.Cursors(ctx))[0], audit.Cursor{Name: "syslog", Seq: 5})
		seq, held = hold("two", noon.Add(time.Minute))
		equal(t, "after the first vanished", held && seq == 5, true)
		do(db.ReleaseCursor(ctx, "syslog", "two"))
		_, held = hold("one", noon.Add(time.Minute))
		equal(t, "after it was released", held, true)
	})
}
