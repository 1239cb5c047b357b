package store_test

import (
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// The clock of a database server is compared, however late it answers; a SQLite file has
// that of this machine.
func TestF8_AheadOfTheDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		for _, off := range []time.Duration{time.Hour, -time.Hour} {
			ahead := testkit.Must(db.Ahead(t.Context(), func() time.Time { return time.Now().Add(off) }))(t)
			if want := off; !db.Shared() && ahead != 0 || db.Shared() && (ahead-want).Abs() > 30*time.Minute {
				t.Errorf("got %s, want %s", ahead, want)
			}
		}
		asked := false
		late := func() time.Time { // an hour passes between question and answer
			if asked {
				return time.Now().Add(30 * time.Minute)
			}
			asked = true
			return time.Now().Add(-30 * time.Minute)
		}
		testkit.Equal(t, "a late answer", testkit.Must(db.Ahead(t.Context(), late))(t), 0)
	})
}
