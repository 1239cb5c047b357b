package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const (
	idle     = 15 * time.Minute
	absolute = 8 * time.Hour
	kept     = 8 * time.Hour // after a session timed out
)

func save(t *testing.T, db *database, id byte, person string, now time.Time) {
	t.Helper()
	err := db.SaveSession(t.Context(), [32]byte{id}, person, []byte("sealed"), idle, testkit.Noon.Add(absolute), now)
	if err != nil {
		t.Fatal(err)
	}
}

func TestSessionEnds(t *testing.T) {
	steps := []struct {
		name string
		at   time.Duration
		open bool
	}{
		{"fresh", 0, true},
		{"not written down", 59 * time.Second, true},
		{"used late", 14 * time.Minute, true},
		{"used late again", 28 * time.Minute, true},
		{"idle over", 43 * time.Minute, false},
	}
	onBoth(t, func(t *testing.T, db *database) {
		save(t, db, 1, "anna", testkit.Noon)
		for _, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				data, err := db.Session(t.Context(), [32]byte{1}, testkit.Noon.Add(s.at))
				if s.open && (err != nil || string(data) != "sealed") {
					t.Errorf("got %q, %v", data, err)
				}
				if !s.open {
					wantError(t, "session", err, portal.ErrNotFound)
				}
			})
		}
		save(t, db, 2, "anna", testkit.Noon.Add(absolute-time.Minute))
		_, err := db.Session(t.Context(), [32]byte{2}, testkit.Noon.Add(absolute))
		wantError(t, "absolute time over", err, portal.ErrNotFound)
		_, err = db.Session(t.Context(), [32]byte{9}, testkit.Noon)
		wantError(t, "unknown session", err, portal.ErrNotFound)
	})
}

func TestA9_EndedSessionsStayEnded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		for id := byte(1); id <= 3; id++ {
			save(t, db, id, "anna", testkit.Noon)
		}
		save(t, db, 4, "bob", testkit.Noon)
		if err := db.EndSession(ctx, [32]byte{1}); err != nil {
			t.Fatal(err)
		}
		if err := db.EndSession(ctx, [32]byte{9}); err != nil {
			t.Errorf("ending what is not there: %v", err)
		}
		testkit.Equal(t, "ended of anna", testkit.Must(db.EndSessions(ctx, "anna"))(t), 2)
		for id := byte(1); id <= 3; id++ {
			_, err := db.Session(ctx, [32]byte{id}, testkit.Noon)
			wantError(t, "ended session", err, portal.ErrNotFound)
			// A request that was under way saves what it had read.
			err = db.SaveSession(ctx, [32]byte{id}, "anna", []byte("late"), idle, testkit.Noon.Add(absolute), testkit.Noon)
			wantError(t, "saving an ended session", err, portal.ErrConflict)
		}
		testkit.Must(db.Session(ctx, [32]byte{4}, testkit.Noon))(t)
		var kept int
		if err := db.plain.QueryRow("SELECT count(*) FROM sessions WHERE data IS NOT NULL").Scan(&kept); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "rows with data", kept, 1)
	})
}

func TestPruneSessions(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		save(t, db, 1, "anna", testkit.Noon)
		save(t, db, 2, "anna", testkit.Noon.Add(10*time.Minute))
		save(t, db, 3, "anna", testkit.Noon)
		if err := db.EndSession(ctx, [32]byte{3}); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "idle for a while", testkit.Must(db.PruneSessions(ctx, testkit.Noon.Add(idle)))(t), 0)
		testkit.Equal(t, "idle", testkit.Must(db.PruneSessions(ctx, testkit.Noon.Add(idle+kept)))(t), 1)
		testkit.Must(db.Session(ctx, [32]byte{2}, testkit.Noon.Add(idle)))(t)
		testkit.Equal(t, "over", testkit.Must(db.PruneSessions(ctx, testkit.Noon.Add(absolute+kept)))(t), 2)
	})
}

// TestSessionOver: a session that timed out keeps its data and opens nothing; one that was
// ended keeps none.
func TestSessionOver(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, late := t.Context(), testkit.Noon.Add(idle)
		over := func(id byte, at time.Time) string {
			t.Helper()
			o, err := db.SessionOver(ctx, [32]byte{id}, at)
			if errors.Is(err, portal.ErrNotFound) {
				return "none"
			}
			testkit.NoError(t, err)
			return fmt.Sprintf("%q idle %v lost %v", o.Data, o.Idle, o.Lost)
		}
		for id := byte(1); id <= 4; id++ {
			save(t, db, id, "anna", testkit.Noon)
		}
		save(t, db, 5, "ben", testkit.Noon)
		testkit.Equal(t, "an open one", over(1, testkit.Noon), "none")
		testkit.Equal(t, "an unknown one", over(9, testkit.Noon), "none")
		testkit.Equal(t, "timed out", over(1, late), `"sealed" idle true lost false`)
		testkit.Equal(t, "at its absolute end", over(1, testkit.Noon.Add(absolute)), `"sealed" idle false lost false`)

		testkit.NoError(t, db.KeepSessionOver(ctx, [32]byte{1}, []byte("typed"), late))
		testkit.NoError(t, db.KeepSessionOver(ctx, [32]byte{2}, []byte("typed"), testkit.Noon)) // open
		testkit.Equal(t, "kept", over(1, late), `"typed" idle true lost false`)
		testkit.Equal(t, "an open one keeps nothing", over(2, late), `"sealed" idle true lost false`)
		_, err := db.Session(ctx, [32]byte{1}, late)
		wantError(t, "the session", err, portal.ErrNotFound)

		testkit.NoError(t, db.EndSession(ctx, [32]byte{3}))
		testkit.NoError(t, db.KeepSessionOver(ctx, [32]byte{3}, []byte("typed"), late))
		testkit.Equal(t, "ended", over(3, testkit.Noon), `"" idle false lost false`)
		phone := fixture.NewEnrolment(t, "anna", "Phone").Issue(t, db)
		_, err = db.Revoke(ctx, enroll.Revocation{
			BlockDevice: phone.Device(), Cause: portal.Lost, At: testkit.Noon, KeepSession: [32]byte{4},
			Entry: fixture.NewEntry(testkit.Noon, "", "anna"),
		})
		testkit.NoError(t, err)
		testkit.Equal(t, "another browser after a loss", over(2, testkit.Noon), `"" idle false lost true`)
		testkit.Equal(t, "the one that reported it", over(4, testkit.Noon), "none")
		testkit.Equal(t, "another person", over(5, testkit.Noon), "none")
	})
}
