package enroll_test

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/internal/enroll"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// BenchmarkUpstream compares enrolments with the portal's own CA and with another one, which
// is in this process: the difference is what the portal adds to the time of another CA.
func BenchmarkUpstream(b *testing.B) {
	for _, name := range []string{"own", "elsewhere"} {
		b.Run(name, func(b *testing.B) {
			clock := testkit.NewRunningClock()
			company := fixture.NewUpstreamCA(b, clock.Now)
			p := fixture.NewPortalAt(b, clock, fixture.SQLite(b), func(c *enroll.Config) {
				if name == "elsewhere" {
					c.Upstream = company.Upstream("company")
				}
			})
			var took []time.Duration
			for n := range b.N {
				b.StopTimer()
				person := p.Add("person"+strconv.Itoa(n), fixture.SIDPrefix+strconv.Itoa(2000+n))
				b.StartTimer()
				began := time.Now()
				testkit.Must(p.Enroll(b.Context(), p.Request(person, "Phone", "form")))(b)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds()), "p95-µs")
		})
	}
}

// BenchmarkUpstreamPending has requests wait for approval. It gives the memory that they cost, in
// bytes for each, and how long it takes to ask the CA about one.
func BenchmarkUpstreamPending(b *testing.B) {
	clock := testkit.NewClock()
	company := fixture.NewUpstreamCA(b, clock.Now)
	company.OnSubmit = func(_ context.Context, n int, _ upstream.Request) (upstream.Answer, error) {
		return upstream.Answer{ID: strconv.Itoa(n)}, nil
	}
	company.OnPoll = func(_ context.Context, _ int, id string) (upstream.Answer, error) {
		return upstream.Answer{ID: id}, nil
	}
	p := fixture.NewPortalAt(b, clock, fixture.SQLite(b), func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	var asked []enroll.Request
	for n := range b.N {
		asked = append(asked, p.Request(p.Add("person"+strconv.Itoa(n), fixture.SIDPrefix+strconv.Itoa(2000+n)), "Phone", "form"))
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	for _, request := range asked {
		testkit.Must(p.Enroll(b.Context(), request))(b)
	}
	waiting, more := heap()-before, runtime.NumGoroutine()-goroutines
	clock.Advance(time.Hour)
	b.ResetTimer()
	for company.Polls() < b.N {
		testkit.NoError(b, p.SweepUpstream(b.Context()))
	}
	b.StopTimer()
	b.ReportMetric(float64(max(waiting, heap()-before))/float64(b.N), "heap-B/op")
	b.ReportMetric(float64(more), "goroutines")
}

// heap is what is in use after a collection, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
