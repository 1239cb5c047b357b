package store_test

import (
	"errors"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestShownIsRecorded: the last verdict is kept, and the first one that works is known as
// delivery and as proof, once, also where the download was never seen to end.
func TestShownIsRecorded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		at := testkit.Noon.Add(time.Hour)
		note := func(v portal.Verdict) portal.Device {
			t.Helper()
			if err := db.NoteShown(t.Context(), e.Serial(), enroll.LastShown{Verdict: v, At: at}, fixture.NewEntry(at, audit.CertificateWorks, anna)); err != nil {
				t.Fatal(err)
			}
			d, last, err := db.Shown(t.Context(), e.Serial())
			if err != nil || last.Verdict != v || !last.At.Equal(at) {
				t.Errorf("last %+v, %v, want %s at %v", last, err, v, at)
			}
			return d
		}
		if _, last, err := db.Shown(t.Context(), e.Serial()); err != nil || last != (enroll.LastShown{}) {
			t.Errorf("before: %+v, %v", last, err)
		}
		if d := note(portal.VerdictEarly); !d.Certificate.Works.IsZero() || !d.Certificate.Delivered.IsZero() {
			t.Errorf("too early: works %v, delivered %v", d.Certificate.Works, d.Certificate.Delivered)
		}
		first := at.Add(time.Minute)
		for range 2 {
			at = at.Add(time.Minute)
			d := note(portal.VerdictWorks)
			if c := d.Certificate; !c.Works.Equal(first) || !c.Delivered.Equal(first) || d.Person != anna || c.Serial != e.Serial() {
				t.Errorf("works %v, delivered %v, want %v", c.Works, c.Delivered, first)
			}
		}
		if got := fixture.Count(fixture.Entries(t, db), audit.CertificateWorks); got != 1 {
			t.Errorf("%d entries, want 1", got)
		}
		revoke(t, db, portal.Lost, at, e.Serial())
		at = at.Add(time.Minute)
		if d := note(portal.VerdictBlocked); d.Certificate.Status != portal.Revoked {
			t.Errorf("after the revocation: %s", d.Certificate.Status)
		}
		if _, _, err := db.Shown(t.Context(), fixture.NewSerial(t)); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("an unknown serial: %v, want ErrNotFound", err)
		}
	})
}
