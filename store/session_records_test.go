package store_test

import (
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

const (
	idle     = 15 * time.Minute
	absolute = 8 * time.Hour
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
		testkit.Equal(t, "idle", testkit.Must(db.PruneSessions(ctx, testkit.Noon.Add(idle)))(t), 1)
		testkit.Must(db.Session(ctx, [32]byte{2}, testkit.Noon.Add(idle)))(t)
		testkit.Equal(t, "over", testkit.Must(db.PruneSessions(ctx, testkit.Noon.Add(absolute)))(t), 2)
	})
}
