package store_test

import (
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
