package load_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/test/load"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
)

// On a Monday 500 people sign in, enrol and download within five minutes, against a Samba domain
// controller, beside 300 questions a second by OCSP. None of them fails. They come evenly over
// four minutes, so that the last has a minute. The times are logged.
func TestL3_Monday(t *testing.T) {
	long(t)
	const people = 500
	dc := samba.Start(t)
	for i := range people {
		dc.AddUser(t, samba.User{Login: person(i)})
	}
	p := startPortal(t, directory(t, samba.Domain, dc.URL(), samba.Reader, samba.ReaderPassword, dc.CAFile)...)
	first := load.NewBrowser(p.https, p.transport)
	testkit.NoError(t, first.SignIn(t.Context(), person(0), samba.Password))
	q := p.questions(testkit.Must(first.Enrol(t.Context(), "First phone"))(t).Leaf)
	stop := q.keep(t, 300)
	began := time.Now()
	var journeys, requests load.Times
	var failed atomic.Int64
	load.Pace(t.Context(), people/240.0, people, func(i int) {
		b := load.NewBrowser(p.https, p.transport)
		b.Done = func(began time.Time, _ string) { requests.Since(began) }
		start := time.Now()
		err := b.SignIn(t.Context(), person(i), samba.Password)
		if err == nil {
			_, err = b.Enrol(t.Context(), fmt.Sprint("Phone ", i))
		}
		if err != nil {
			failed.Add(1)
			t.Errorf("%s: %v", person(i), err)
			return
		}
		journeys.Since(start)
	})
	took := time.Since(began)
	stop()
	t.Logf("%d journeys in %s, %d failed; a journey p50 %.0f ms, p99 %.0f ms; a request p99 %.0f ms; OCSP %d answers, %.0f a second, p50 %.1f ms, p99 %.1f ms",
		journeys.Count(), took.Round(time.Second), failed.Load(), journeys.Percentile(50), journeys.Percentile(99), requests.Percentile(99),
		q.took.Count(), float64(q.took.Count())/took.Seconds(), q.took.Percentile(50), q.took.Percentile(99))
	p.settled(p.sqlite())
}
