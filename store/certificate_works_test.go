package store_test

import (
	"slices"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestWorksIsRecorded: what a person or a renewal shows is recorded once, with its entry,
// and only of a certificate that was fetched and is in force.
func TestWorksIsRecorded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		at := testkit.Noon.Add(time.Hour)
		finish := func() portal.Certificate {
			t.Helper()
			endSuperseded(t, db, enroll.Ending{Device: e.Device(), At: at, Entry: fixture.NewEntry(at, audit.CertificateRevoked, anna)})
			return testkit.Must(db.Device(t.Context(), anna, e.Device()))(t).Certificate
		}
		if c := finish(); !c.Works.IsZero() || c.State(at) != portal.StateNotDownloaded {
			t.Errorf("before it was fetched: works since %v, %s", c.Works, c.State(at))
		}
		fetched(t, db, e)
		if c := finish(); !c.Works.Equal(at) || c.State(at) != portal.StateWorks {
			t.Errorf("works since %v, %s, want %v", c.Works, c.State(at), at)
		}
		at = at.Add(time.Hour)
		if c := finish(); !c.Works.Equal(at.Add(-time.Hour)) {
			t.Errorf("again: works since %v", c.Works)
		}
		if got := fixture.Count(fixture.Entries(t, db), audit.CertificateWorks); got != 1 {
			t.Errorf("%d entries, want 1", got)
		}
	})
}

// TestStatesAreFiltersToo: each state finds exactly the certificates that the pages name
// so, among a thousand.
func TestStatesAreFiltersToo(t *testing.T) {
	seeded(t, 1000, func(t *testing.T, db *database) {
		for i, query := range []string{
			"UPDATE certificates SET delivered_at = NULL WHERE status = 'issued' AND substr(serial, 2, 1) IN ('0', '1')",
			"UPDATE certificates SET works_at = requested_at, works_by = 'person' WHERE delivered_at IS NOT NULL AND substr(serial, 3, 1) IN ('0', '1', '2')",
			"UPDATE certificates SET cause = 'undelivered' WHERE status = 'revoked' AND substr(serial, 2, 1) IN ('0', '1', '2')",
			"UPDATE certificates SET cause = 'replaced' WHERE status = 'revoked' AND substr(serial, 2, 1) IN ('3', '4', '5')",
		} {
			if _, err := db.plain.Exec(query); err != nil {
				t.Fatalf("query %d: %v", i, err)
			}
		}
		named := map[portal.State][]string{}
		var from admin.Cursor
		for {
			found := testkit.Must(db.Certificates(t.Context(), admin.Filter{}, from, 500, testkit.Noon))(t)
			for _, c := range found.Rows {
				named[c.Shown] = append(named[c.Shown], c.Serial.String())
			}
			if from = found.Next; from == (admin.Cursor{}) {
				break
			}
		}
		for _, state := range []portal.State{
			portal.StateNotDownloaded, portal.StateDownloaded, portal.StateWorks, portal.StateReplaced, portal.StateBlocked,
			portal.StateExpired, portal.StateNeverFetched,
		} {
			got, _ := paged(t, db, admin.Filter{State: admin.State(state)}, 50)
			want := named[state]
			slices.Sort(got)
			slices.Sort(want)
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s: the filter finds %d, the pages name %d so", state, len(got), len(want))
			}
		}
		soon, _ := paged(t, db, admin.Filter{State: admin.Expiring, Days: admin.DefaultDays}, 50)
		for _, serial := range named[portal.StateEndsSoon] {
			if !slices.Contains(soon, serial) {
				t.Errorf("%s ends soon, and the filter does not find it", serial)
			}
		}
	})
}
