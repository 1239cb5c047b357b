package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestA17_RefusalsFillNoDisk has a person cause refusals without end: the log takes
// fifty an hour, and one entry says how many more there were.
func TestA17_RefusalsFillNoDisk(t *testing.T) {
	const caused, taken = 500, 50
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		note := func(actor portal.PersonID, action audit.Action, at time.Time) {
			e := fixture.NewEntry(at, action, actor)
			e.Detail = map[string]string{"reason": "unknown field"}
			testkit.NoError(t, db.Note(ctx, e))
		}
		for i := range caused {
			note("eve", audit.RequestRejected, testkit.Noon.Add(time.Duration(i)*time.Second))
		}
		note("eve", audit.AccessRefused, testkit.Noon)
		note("anna", audit.RequestRejected, testkit.Noon)
		for range 2 * taken {
			note("", audit.SignInRefused, testkit.Noon) // of no person: bounded per network
			note("eve", audit.SignedIn, testkit.Noon)   // an act
		}
		count := func() (n int, more string) {
			for _, e := range fixture.Entries(t, db) {
				if e.Actor == "eve" && e.Action == audit.RequestRejected {
					n++
					more = e.Detail["more"]
				}
			}
			return n, more
		}
		n, _ := count()
		testkit.Equal(t, "entries at first", n, taken)
		testkit.Equal(t, "all entries", len(fixture.Entries(t, db)), taken+2+4*taken)
		early := testkit.Must(db.NoteFloods(ctx, testkit.Noon.Add(59*time.Minute)))(t)
		testkit.Equal(t, "noted early", early, 0)
		late := testkit.Must(db.NoteFloods(ctx, testkit.Noon.Add(time.Hour)))(t)
		testkit.Equal(t, "noted", late, 1)
		n, more := count()
		testkit.Equal(t, "entries in the end", n, taken+1)
		testkit.Equal(t, "more", more, "450")
		note("eve", audit.RequestRejected, testkit.Noon.Add(time.Hour))
		n, _ = count()
		testkit.Equal(t, "entries of the next hour", n, taken+2)
	})
}

// TestA17_AFloodHidesNoOne tries each way to have refusals about one person left out
// behind refusals about others.
func TestA17_AFloodHidesNoOne(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		note := func(actor portal.PersonID, role, person string) {
			e := fixture.NewEntry(testkit.Noon, audit.EnrolmentRefused, actor)
			e.Role, e.Person = role, person
			testkit.NoError(t, db.Note(ctx, e))
		}
		about := func(actor, person string) (n int) {
			for _, e := range fixture.Entries(t, db) {
				if e.Actor == actor && e.Person == person && e.Detail["more"] == "" {
					n++
				}
			}
			return n
		}
		for range 60 {
			note("device", "", "")
			note("hugo", "helpdesk", "hugo")
		}
		note("device", "", "anna")
		note("hugo", "helpdesk", "root")
		testkit.Equal(t, "of a device of anna", about("device", "anna"), 1)
		testkit.Equal(t, "of hugo about root", about("hugo", "root"), 1)
		for i := range 1000 {
			note("hugo", "helpdesk", fmt.Sprint("person ", i))
		}
		testkit.Equal(t, "of hugo about the last one", about("hugo", "person 999"), 0)
		testkit.Equal(t, "noted at the end", testkit.Must(db.NoteAllFloods(ctx, testkit.Noon))(t), 3)
		testkit.Equal(t, "noted twice", testkit.Must(db.NoteAllFloods(ctx, testkit.Noon))(t), 0)
	})
}

// TestF21_AFloodIsNotedLater has the database fail while a flood is noted.
func TestF21_AFloodIsNotedLater(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		for range 60 {
			testkit.NoError(t, db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.RequestRejected, "eve")))
		}
		broken, cancel := context.WithCancel(t.Context())
		cancel()
		if n, err := db.NoteAllFloods(broken, testkit.Noon); err == nil || n != 0 {
			t.Fatalf("got %d, %v", n, err)
		}
		testkit.Equal(t, "noted", testkit.Must(db.NoteAllFloods(t.Context(), testkit.Noon))(t), 1)
		entries := fixture.Entries(t, db)
		testkit.Equal(t, "more", entries[len(entries)-1].Detail["more"], "10")
	})
}
