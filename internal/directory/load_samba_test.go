package directory_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
)

// TestSamba500SignIns runs 500 sign-ins, twenty at a time. None may fail; how long one
// takes is this machine's.
func TestSamba500SignIns(t *testing.T) {
	const people, visits, together = 50, 10, 20
	fx := newFixture(t, func(c *directory.LDAPConfig) { c.Timeout = 2 * time.Minute })
	var entries []samba.Entry
	for i := range people {
		entries = append(entries, fx.dc.AddUser(t, samba.User{Login: fmt.Sprintf("user%02d", i)}))
	}
	var at atomic.Int32
	var waiting sync.WaitGroup
	for range together {
		waiting.Go(func() {
			for n := int(at.Add(1)) - 1; n < people*visits; n = int(at.Add(1)) - 1 {
				i := n % people
				p, err := fx.signIn.Authenticate(t.Context(), fmt.Sprintf(`CORP\user%02d`, i), samba.Password, from(i))
				if err != nil || p.ID != idOf(entries[i]) {
					t.Errorf("sign-in %d: %q, %v, want %q", n, p.ID, err, entries[i].GUID)
				}
			}
		})
	}
	waiting.Wait()
	if got := fx.count(audit.SignedIn); got != people*visits {
		t.Errorf("%d sign-ins recorded, want %d", got, people*visits)
	}
}

// stopwatch measures the time spent in a directory.
type stopwatch struct {
	portal.Directory
	spent time.Duration
}

func (s *stopwatch) Canonical(ctx context.Context, login string) (string, error) {
	defer s.since(time.Now())
	return s.Directory.Canonical(ctx, login)
}

func (s *stopwatch) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	defer s.since(time.Now())
	return s.Directory.Authenticate(ctx, login, password)
}

func (s *stopwatch) since(start time.Time) { s.spent += time.Since(start) }

// BenchmarkSambaSignIn measures the portal's share of a sign-in, including writes to the
// store, separately from the directory's.
func BenchmarkSambaSignIn(b *testing.B) {
	fx := newFixture(b)
	fx.dc.AddUser(b, samba.User{Login: "anna"})
	people := &stopwatch{Directory: fx.people}
	signIn := testkit.Must(signin.New(signin.Config{
		Directory: people, Store: fx.db, Log: slog.New(slog.DiscardHandler),
	}))(b)
	var own, theirs []time.Duration
	for b.Loop() {
		people.spent = 0
		start := time.Now()
		if _, err := signIn.Authenticate(b.Context(), "anna", samba.Password, from(1)); err != nil {
			b.Fatal(err)
		}
		own = append(own, time.Since(start)-people.spent)
		theirs = append(theirs, people.spent)
	}
	b.ReportMetric(percentile(own, 50), "own-p50-ms")
	b.ReportMetric(percentile(own, 95), "own-p95-ms")
	b.ReportMetric(percentile(theirs, 50), "directory-p50-ms")
	b.ReportMetric(percentile(theirs, 95), "directory-p95-ms")
}

// BenchmarkSambaWrongAndUnknown compares the median times of a wrong password and an unknown
// name, measured alternately (attack A8).
func BenchmarkSambaWrongAndUnknown(b *testing.B) {
	fx := newFixture(b)
	fx.dc.Modify(b, samba.Base, map[string][]string{"lockoutThreshold": {"0"}})
	fx.dc.AddUser(b, samba.User{Login: "anna"})
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, name := range []string{"anna", "nobody"} {
			start := time.Now()
			if _, err := fx.people.Authenticate(b.Context(), name, "wrong-one"); reasonOf(err) != credentials {
				b.Fatal(err)
			}
			took[name] = append(took[name], time.Since(start))
		}
	}
	b.ReportMetric(percentile(took["anna"], 50), "wrong-p50-ms")
	b.ReportMetric(percentile(took["nobody"], 50), "unknown-p50-ms")
}

func percentile(took []time.Duration, percent int) float64 {
	slices.Sort(took)
	return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1000
}
