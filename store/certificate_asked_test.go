package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// TestQuestionsAreBounded: however often replicas note it, the last question about a certificate of
// a person moves once an hour and never back; serials that are not known, or not of a
// person, are no error.
func TestQuestionsAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e, silent := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "tablet").Issue(t, db)
		reserved := fixture.NewEnrolment(t, anna, "reserved")
		testkit.NoError(t, db.Reserve(t.Context(), reserved.Reservation))
		for _, step := range []struct{ at, want time.Duration }{
			{0, 0}, {time.Minute, 0}, {ocsp.AskedEvery - time.Millisecond, 0}, {ocsp.AskedEvery, ocsp.AskedEvery},
			{0, ocsp.AskedEvery}, {5 * ocsp.AskedEvery, 5 * ocsp.AskedEvery},
		} {
			at := testkit.Noon.Add(step.at)
			err := db.NoteAsked(t.Context(), []ocsp.Asked{
				{Serial: fixture.NewSerial(t), At: at}, {Serial: e.Serial(), At: at}, {Serial: reserved.Serial(), At: at},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := testkit.Must(db.Use(t.Context(), e.Serial()))(t).Asked
			if want := testkit.Noon.Add(step.want); !got.Equal(want) {
				t.Errorf("asked at %v: got %v, want %v", step.at, got, want)
			}
		}
		testkit.Equal(t, "another certificate", testkit.Must(db.Use(t.Context(), silent.Serial()))(t), enroll.Use{})
		testkit.Equal(t, "a reserved one", testkit.Must(db.Use(t.Context(), reserved.Serial()))(t), enroll.Use{})
		if _, err := db.Use(t.Context(), fixture.NewSerial(t)); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("an unknown serial: %v, want ErrNotFound", err)
		}
	})
}

// TestUse: downloads that ended are counted, and the last test of this certificate and of
// earlier ones of the same device are distinguished.
func TestUse(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		first := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		other := fixture.NewEnrolment(t, anna, "tablet").Issue(t, db)
		renewed := late(first)
		next := renewal(t, first, renewed).Issue(t, db)
		at := renewed.Add(time.Hour)
		for i := range 3 {
			testkit.NoError(t, db.ConfirmRead(t.Context(), next.TokenHash, 5, at.Add(time.Duration(i)*time.Minute)))
		}
		for _, e := range []fixture.Enrolment{first, other} {
			shown := enroll.LastShown{Verdict: portal.VerdictReplaced, At: at}
			testkit.NoError(t, db.NoteShown(t.Context(), e.Serial(), shown, fixture.NewEntry(at, audit.CertificateWorks, anna)))
			at = at.Add(time.Hour)
		}
		want := enroll.Use{Downloads: 3, LastDownload: renewed.Add(time.Hour + 2*time.Minute), Earlier: renewed.Add(time.Hour)}
		testkit.Equal(t, "the newest", testkit.Must(db.Use(t.Context(), next.Serial()))(t), want)
		want = enroll.Use{LastShown: enroll.LastShown{Verdict: portal.VerdictReplaced, At: renewed.Add(time.Hour)}}
		testkit.Equal(t, "the first", testkit.Must(db.Use(t.Context(), first.Serial()))(t), want)
	})
}

// TestF22_ReplicasNoteTheSameQuestions: replicas that are asked about the same certificates
// write at the same time and do not wait for each other for ever.
func TestF22_ReplicasNoteTheSameQuestions(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		var asked []ocsp.Asked
		for i := range 20 {
			e := fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("person-", i)), "phone").Issue(t, db)
			asked = append(asked, ocsp.Asked{Serial: e.Serial(), At: testkit.Noon})
		}
		slices.SortFunc(asked, func(a, b ocsp.Asked) int { return a.Serial.Compare(b.Serial) })
		replicas := []*store.DB{db.DB, opened(t, db.address), opened(t, db.address)}
		errs := make([]error, len(replicas))
		var all sync.WaitGroup
		for i, replica := range replicas {
			all.Go(func() { errs[i] = replica.NoteAsked(t.Context(), asked) })
		}
		all.Wait()
		testkit.NoError(t, errors.Join(errs...))
		for _, a := range asked {
			testkit.Equal(t, "asked", testkit.Must(db.Use(t.Context(), a.Serial))(t).Asked.UnixMilli(), testkit.Noon.UnixMilli())
		}
	})
}
