package load_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"certportal/internal/test/load"
	"certportal/internal/test/testkit"
)

// rush is what came of the enrolments that were offered.
type rush struct {
	mu       sync.Mutex
	accepted load.Times // POST to redirect
	refused  load.Times // 503 with Retry-After
	failed   []string
	files    []string // pages of what was accepted
	owners   []int
}

// offer sends n forms for certificates, 0 for as many as until the context ends, at a rate that
// does not wait for the portal. People take turns.
func (r *rush) offer(ctx context.Context, browsers []*load.Browser, perSecond float64, n int) {
	load.Pace(ctx, perSecond, n, func(i int) {
		ctx := context.WithoutCancel(ctx) // what was begun ends
		who := i % len(browsers)
		began := time.Now()
		a, err := browsers[who].Ask(ctx, fmt.Sprint("Phone ", began.UnixNano()), rand.Text())
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case err == nil:
			r.accepted.Since(began)
			r.files, r.owners = append(r.files, a.Location), append(r.owners, who)
		case a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
			r.refused.Since(began)
		default:
			r.failed = append(r.failed, err.Error())
		}
	})
}

// download fetches what was accepted, and reports what is no file.
func (r *rush) download(t testing.TB, browsers []*load.Browser) {
	t.Helper()
	for i, location := range r.files {
		f, err := browsers[r.owners[i]].Fetch(t.Context(), location)
		if err != nil {
			t.Errorf("file of an enrolment that was accepted: %v", err)
			continue
		}
		testkit.Contains(t, "subject", f.Leaf.Subject.CommonName, person(r.owners[i])+"@")
	}
}

// noFailures reports what was neither accepted nor refused in words.
func (r *rush) noFailures(t testing.TB) {
	t.Helper()
	for _, failure := range r.failed[:min(5, len(r.failed))] {
		t.Errorf("one of %d that failed: %s", len(r.failed), failure)
	}
}

// BenchmarkL9_TenTimesTheOffer offers six enrolments a second with RSA 2048 for 20 s, then 60 a
// second, then six again, beside 50 questions by OCSP. Each is accepted, and its file is right,
// or refused with 503 and Retry-After. It reports the times in milliseconds, and how long after
// the offer ended no enrolment was in progress.
func BenchmarkL9_TenTimesTheOffer(b *testing.B) {
	const seconds, people = 20, 60 * 20 // the forms of one person wait for each other
	p := startPortal(b, withPeople(b, people)...)
	browsers := p.signedIn(people)
	q := p.questions(testkit.Must(browsers[0].Enrol(b.Context(), "First phone"))(b).Leaf)
	for b.Loop() {
		var before, at, after rush
		stop := q.keep(b, 50)
		before.offer(b.Context(), browsers, 6, 6*seconds)
		at.offer(b.Context(), browsers, 60, 60*seconds)
		ended := time.Now()
		testkit.Eventually(b, "no enrolment is in progress", func() bool { return p.mustMetric("certportal_enrolments_in_progress") == 0 })
		b.ReportMetric(float64(time.Since(ended).Milliseconds()), "ms-until-idle")
		after.offer(b.Context(), browsers, 6, 6*seconds)
		stop()
		for name, r := range map[string]*rush{"before": &before, "at10x": &at, "after": &after} {
			r.noFailures(b)
			b.ReportMetric(float64(r.accepted.Count())/seconds, "accepted/s-"+name)
			b.ReportMetric(r.accepted.Percentile(95), "ms-p95-"+name)
			b.ReportMetric(float64(r.refused.Count()), "refused-"+name)
		}
		b.ReportMetric(at.refused.Percentile(99), "ms-p99-refused")
		b.ReportMetric(q.took.Percentile(99), "ms-p99-ocsp")
		at.download(b, browsers)
		p.settled(p.sqlite())
	}
}

// BenchmarkL1_SixASecond enrols six times a second with RSA 2048 for ten minutes, each with its
// file, without keys made ahead. It reports the times of the form in milliseconds.
func BenchmarkL1_SixASecond(b *testing.B) {
	const people, seconds = 60, 600
	p := startPortal(b, withPeople(b, people)...)
	browsers := p.signedIn(people)
	for b.Loop() {
		var r rush
		r.offer(b.Context(), browsers, 6, 6*seconds)
		r.noFailures(b)
		b.ReportMetric(float64(r.accepted.Count())/seconds, "accepted/s")
		b.ReportMetric(float64(r.refused.Count()), "refused")
		b.ReportMetric(r.accepted.Percentile(50), "ms-p50")
		b.ReportMetric(r.accepted.Percentile(95), "ms-p95")
		p.settled(p.sqlite())
	}
}
