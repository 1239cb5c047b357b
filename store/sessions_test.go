package store_test

import (
	"testing"
	"time"

	"certportal/internal/portal"
)

const (
	idle     = 15 * time.Minute
	absolute = 8 * time.Hour
)

func save(t *testing.T, db *fixture, id byte, person string, now time.Time) {
	t.Helper()
	err := db.SaveSession(t.Context(), [32]byte{id}, person, []byte("sealed"), idle, noon.Add(absolute), now)
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
	onBoth(t, func(t *testing.T, db *fixture) {
		save(t, db, 1, "anna", noon)
		for _, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				data, err := db.Session(t.Context(), [32]byte{1}, noon.Add(s.at))
				if s.open && (err != nil || string(data) != "sealed") {
					t.Errorf("got %q, %v", data, err)
				}
				if !s.open {
					wantError(t, "session", err, portal.ErrNotFound)
				}
			})
		}
		save(t, db, 2, "anna", noon.Add(absolute-time.Minute))
		_, err := db.Session(t.Context(), [32]byte{2}, noon.Add(absolute))
		wantError(t, "absolute time over", err, portal.ErrNotFound)
		_, err = db.Session(t.Context(), [32]byte{9}, noon)
		wantError(t, "unknown session", err, portal.ErrNotFound)
	})
}

func TestA9_EndedSessionsStayEnded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		for id := byte(1); id <= 3; id++ {
			save(t, db, id, "anna", noon)
		}
		save(t, db, 4, "bob", noon)
		if err := db.EndSession(ctx, [32]byte{1}); err != nil {
			t.Fatal(err)
		}
		if err := db.EndSession(ctx, [32]byte{9}); err != nil {
			t.Errorf("ending what is not there: %v", err)
		}
		equal(t, "ended of anna", must[int](t)(db.EndSessions(ctx, "anna")), 2)
		for id := byte(1); id <= 3; id++ {
			_, err := db.Session(ctx, [32]byte{id}, noon)
			wantError(t, "ended session", err, portal.ErrNotFound)
			// A request that was under way saves what it had read.
			err = db.SaveSession(ctx, [32]byte{id}, "anna", []byte("late"), idle, noon.Add(absolute), noon)
			wantError(t, "saving an ended session", err, portal.ErrConflict)
		}
		must[[]byte](t)(db.Session(ctx, [32]byte{4}, noon))
		var kept int
		if err := db.plain.QueryRow("SELECT count(*) FROM sessions WHERE data IS NOT NULL").Scan(&kept); err != nil {
			t.Fatal(err)
		}
		equal(t, "rows with data", kept, 1)
	})
}

func TestPruneSessions(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		save(t, db, 1, "anna", noon)
		save(t, db, 2, "anna", noon.Add(10*time.Minute))
		save(t, db, 3, "anna", noon)
		if err := db.EndSession(ctx, [32]byte{3}); err != nil {
			t.Fatal(err)
		}
		equal(t, "idle", must[int](t)(db.PruneSessions(ctx, noon.Add(idle))), 1)
		must[[]byte](t)(db.Session(ctx, [32]byte{2}, noon.Add(idle)))
		equal(t, "over", must[int](t)(db.PruneSessions(ctx, noon.Add(absolute))), 2)
	})
}
