package store_test

import (
	"testing"
	"time"

	"certportal/ca/crl"
	"certportal/internal/test/testkit"
)

// Delta CRLs are based on the oldest complete CRL that a client may still use.
func TestOldest(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		oldest := func(after time.Duration) (crl.List, bool) {
			t.Helper()
			list, found, err := db.Oldest(t.Context(), "issuing", testkit.Noon.Add(after))
			if err != nil {
				t.Fatal(err)
			}
			return list, found
		}
		if _, found := oldest(0); found {
			t.Error("a list was found before the first")
		}
		first, _ := publish(t, db, testkit.Noon)
		second, _ := publish(t, db, testkit.Noon.Add(time.Hour))
		turn := take(t, db, "a", testkit.Noon.Add(2*time.Hour))
		if err := db.Publish(t.Context(), turn, deltaOf(turn, first, testkit.Noon.Add(2*time.Hour))); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name  string
			after time.Duration
			want  crl.List
			found bool
		}{
			{"both in force", 3 * time.Hour, first, true},
			{"the first ran out", life, second, true},
			{"both ran out", life + time.Hour, crl.List{}, false},
		} {
			got, found := oldest(tt.after)
			testkit.Equal(t, tt.name, found, tt.found)
			testkit.Equal(t, tt.name+": number", got.Number, tt.want.Number)
			testkit.Equal(t, tt.name+": through", got.Through, tt.want.Through)
			testkit.Equal(t, tt.name+": DER", len(got.DER), 0)
		}
	})
}
