package store_test

import (
	"context"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store/sqldb"
)

// A server that stops ends the connections. What was under way is done again, but for a
// COMMIT, whose outcome is unknown; reading goes on with new connections.
func TestF5_ConnectionsThatTheServerEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		if !db.Shared() {
			return // a file has no server
		}
		ends := func(ctx context.Context, tx *sqldb.Tx) {
			var pid int
			testkit.NoError(t, tx.One(ctx, "SELECT pg_backend_pid()", nil, &pid))
			testkit.Must(db.plain.ExecContext(ctx, "SELECT pg_terminate_backend($1, 60000)", pid))(t) // waits for its end
		}
		tries := 0
		testkit.NoError(t, db.Write(t.Context(), time.Minute, "writing", func(ctx context.Context, tx *sqldb.Tx) error {
			if tries++; tries == 1 {
				ends(ctx, tx)
			}
			_, err := tx.Exec(ctx, "UPDATE watch SET id = id WHERE id = 1")
			return err
		}))
		testkit.Equal(t, "tries", tries, 2)

		tries = 0
		err := db.Write(t.Context(), time.Minute, "writing", func(ctx context.Context, tx *sqldb.Tx) error {
			tries++
			_, err := tx.Exec(ctx, "UPDATE watch SET id = id WHERE id = 1")
			ends(ctx, tx)
			return err
		})
		if err == nil || tries != 1 {
			t.Errorf("a COMMIT without an answer: %v after %d tries, want an error after one", err, tries)
		}
		for range 3 {
			testkit.NoError(t, db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)))
			testkit.Must(db.plain.ExecContext(t.Context(),
				"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"))(t)
			testkit.Must(db.Head(t.Context()))(t)
			testkit.Must(db.Authorities(t.Context()))(t)
		}
	})
}
