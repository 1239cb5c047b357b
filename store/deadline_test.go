package store_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// patience is what the callers of these tests have: far more than the store may
// take, and an end for a test that would hang.
const patience = 30 * time.Second

// locked takes a lock through a connection beside the store's, as a backup or a
// forgotten shell does, and returns what gives it back.
func locked(t *testing.T, db *fixture, statements ...string) (unlock func()) {
	t.Helper()
	conn := must[*sql.Conn](t)(db.plain.Conn(t.Context()))
	for _, statement := range statements {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		conn.Close()
	}
}

// writesLocked are the statements that keep everybody else from writing.
func writesLocked(db *fixture) []string {
	if db.dialect == "sqlite3" {
		return []string{"BEGIN IMMEDIATE"}
	}
	return []string{"BEGIN", "LOCK TABLE ledger_head IN ACCESS EXCLUSIVE MODE"}
}

// While somebody else holds the lock, every write ends with an error long before
// its caller gives up, those in the queue included; afterwards all is as before.
func TestF5_WritesEndWhileTheDatabaseIsLocked(t *testing.T) {
	const writers = 8
	onBoth(t, func(t *testing.T, db *fixture) {
		t.Parallel() // it waits more than it works
		known := issue(t, db, request(t, anna, "iPhone"))
		unlock := locked(t, db, writesLocked(db)...)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		requests := make([]enrolment, writers)
		for i := range requests {
			requests[i] = request(t, portal.PersonID("person"+string(rune('a'+i))), "iPhone")
		}
		var waiting sync.WaitGroup
		for _, e := range requests {
			waiting.Go(func() {
				if err := db.Reserve(ctx, e.reservation); err == nil {
					t.Error("reserved in a locked database")
				}
			})
		}
		waiting.Wait()
		if ctx.Err() != nil {
			t.Errorf("writes lasted until their callers gave up")
		}
		if db.dialect == "sqlite3" { // readers do not wait for the one that writes
			equal(t, "serial", newest(t, db, known).Serial, known.serial())
		}
		unlock()
		for _, e := range requests {
			issue(t, db, e)
		}
		equal(t, "entries", len(entries(t, db)), 2+2*writers)
	})
}

// A shorter deadline of the caller holds, and is told apart from the store's.
func TestCallersOwnDeadlineHolds(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		unlock := locked(t, db, writesLocked(db)...)
		defer unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wantError(t, "writing", db.Note(ctx, entry(audit.SignedIn, anna)), context.DeadlineExceeded)
		gone, leave := context.WithCancel(t.Context())
		leave()
		wantError(t, "writing for nobody", db.Note(gone, entry(audit.SignedIn, anna)), context.Canceled)
	})
}

// On PostgreSQL a table lock stops readers too.
func TestF5_ReadsEndWhileTheDatabaseIsLocked(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		if db.dialect == "sqlite3" {
			t.Skip("nobody can lock readers of a write-ahead journal out")
		}
		t.Parallel()
		e := issue(t, db, request(t, anna, "iPhone"))
		unlock := locked(t, db, "BEGIN", "LOCK TABLE devices, ledger_head IN ACCESS EXCLUSIVE MODE")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := db.Devices(ctx, anna); err == nil {
				t.Error("read a locked table")
			}
		})
		waiting.Go(func() {
			if _, err := db.Head(ctx); err == nil {
				t.Error("read a locked row")
			}
		})
		waiting.Wait()
		if ctx.Err() != nil {
			t.Errorf("reads lasted until their callers gave up")
		}
		unlock()
		equal(t, "serial", newest(t, db, e).Serial, e.serial())
	})
}
