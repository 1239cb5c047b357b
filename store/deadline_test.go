package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// patience is what the callers of these tests have: far more than the store may
// take, and an end for a test that would hang.
const patience = 30 * time.Second

// locked takes a lock through a connection beside the store's, as a backup or a
// forgotten shell does, and returns what releases it.
func locked(t *testing.T, db *database, statements ...string) (unlock func()) {
	t.Helper()
	conn := testkit.Must(db.plain.Conn(t.Context()))(t)
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

// writesLocked are the statements that block all other writers.
func writesLocked(db *database) []string {
	if db.dialect == "sqlite3" {
		return []string{"BEGIN IMMEDIATE"}
	}
	return []string{"BEGIN", "LOCK TABLE ledger_head IN ACCESS EXCLUSIVE MODE"}
}

// While another process holds the lock, every write ends with an error long before
// its caller gives up, also those in the queue; afterwards all is as before.
func TestF5_WritesEndWhileTheDatabaseIsLocked(t *testing.T) {
	const writers = 8
	onBoth(t, func(t *testing.T, db *database) {
		known := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		unlock := locked(t, db, writesLocked(db)...)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		requests := make([]fixture.Enrolment, writers)
		for i := range requests {
			requests[i] = fixture.NewEnrolment(t, portal.PersonID("person"+string(rune('a'+i))), "iPhone")
		}
		var waiting sync.WaitGroup
		for _, e := range requests {
			waiting.Go(func() {
				if err := db.Reserve(ctx, e.Reservation); err == nil {
					t.Error("reserved in a locked database")
				}
			})
		}
		waiting.Wait()
		if ctx.Err() != nil {
			t.Errorf("writes lasted until their callers gave up")
		}
		if db.dialect == "sqlite3" { // readers do not wait for the one that writes
			testkit.Equal(t, "serial", newest(t, db, known).Serial, known.Serial())
		}
		unlock()
		for _, e := range requests {
			e.Issue(t, db)
		}
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 2+2*writers)
	})
}

// A shorter deadline of the caller applies, and is distinguished from the store's.
func TestCallersOwnDeadlineHolds(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		unlock := locked(t, db, writesLocked(db)...)
		defer unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wantError(t, "writing", db.Note(ctx, fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)), context.DeadlineExceeded)
		gone, leave := context.WithCancel(t.Context())
		leave()
		wantError(t, "writing for nobody", db.Note(gone, fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)), context.Canceled)
	})
}

// On PostgreSQL a table lock stops readers too.
func TestF5_ReadsEndWhileTheDatabaseIsLocked(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		if db.dialect == "sqlite3" {
			t.Skip("nobody can lock readers of a write-ahead journal out")
		}
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
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
		testkit.Equal(t, "serial", newest(t, db, e).Serial, e.Serial())
	})
}
