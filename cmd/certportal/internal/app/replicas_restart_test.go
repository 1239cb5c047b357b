package app

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/ca/ocsp"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// The database restarts while people enrol on two replicas. Every certificate that a person
// got is recorded; what failed said so as an outage of the store and is ended soon, long
// before a sweep; both replicas go on.
func TestF5_DatabaseRestartsDuringEnrolments(t *testing.T) {
	var server pgtest.Server
	t.Cleanup(server.Stop)
	environ := fixture.FastCA()
	environ["CERTPORTAL_DATABASE"] = server.Database(t)
	environ["CERTPORTAL_CERTIFICATES_DEVICES"], environ["CERTPORTAL_CERTIFICATES_PER_HOUR"] = "1000", "100000"
	data, other := t.TempDir(), t.TempDir()
	a := testkit.Must(openWith(t, data, environ))(t)
	copyCA(t, data, other)
	b := testkit.Must(openWith(t, other, environ))(t)
	serveUntilEnd(t, a)
	serveUntilEnd(t, b)
	people := employees(t, a, 4)

	var mu sync.Mutex
	var got []enroll.Enrolment
	failed := 0
	restarted := make(chan struct{})
	var working sync.WaitGroup
	for n, person := range people {
		working.Go(func() {
			p := []*App{a, b}[n%2]
			for phone := 0; ; phone++ {
				select {
				case <-restarted:
					return
				default:
				}
				e, err := p.enrolment(t, person, fmt.Sprint("phone ", phone))
				var outage *portal.Outage
				mu.Lock()
				switch {
				case err == nil:
					got = append(got, e)
				case errors.As(err, &outage):
					failed++
				default:
					t.Errorf("enrolling: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	for range 3 {
		server.Restart(t)
	}
	close(restarted)
	working.Wait()
	t.Logf("%d enrolments, %d failed over three restarts", len(got), failed)
	began := time.Now()
	testkit.Eventually(t, "nothing is left pending", func() bool {
		left, err := a.DB.Unfinished(t.Context(), time.Now().Add(time.Hour), 100)
		return err == nil && len(left) == 0
	})
	t.Logf("ended after %s", time.Since(began))
	for _, e := range got {
		testkit.Equal(t, "a certificate that a person got", testkit.Must(a.DB.Status(t.Context(), e.Serial))(t).State, ocsp.Good)
	}
	for n, p := range []*App{a, b} {
		testkit.Must(p.enrolment(t, people[n], "afterwards"))(t)
	}
}
