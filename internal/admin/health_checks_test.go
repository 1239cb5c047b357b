package admin_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// noStore is a store that is never asked.
type noStore struct{ admin.Store }

// TestChecksRunByThemselves runs them soon after the start and then hourly. A check that
// fails at night is in the log once, and once more when it works again.
func TestChecksRunByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		var broken atomic.Bool
		checks := &admin.Checks{List: []admin.Check{
			{Name: "mail", Run: func(context.Context) []portal.Finding {
				runs.Add(1)
				state := portal.FindingOK
				if broken.Load() {
					state = portal.FindingFailed
				}
				return []portal.Finding{{What: "a", State: portal.FindingOK}, {What: "mail server", State: state, Text: "it does not answer"}}
			}},
			{Name: "database", Run: func(context.Context) []portal.Finding { return []portal.Finding{{State: portal.FindingWarning}} }},
		}}
		var log bytes.Buffer
		s, err := admin.New(admin.Config{Store: noStore{}, Checks: checks, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go s.RunHourly(ctx)
		auditor := portal.Actor{Person: "a", Record: &portal.Person{ID: "a", Roles: []portal.Role{portal.Auditor}}}
		verdict := func() admin.Verdict {
			results, err := s.Checks(t.Context(), auditor)
			if err != nil {
				t.Fatal(err)
			}
			return admin.VerdictOf(results)
		}
		if v := verdict(); !v.At.IsZero() || v.Total != 2 {
			t.Errorf("before the first run: %+v", v)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if v := verdict(); v.At.IsZero() || v.Failed != 0 || v.Warned != 1 || runs.Load() != 1 {
			t.Errorf("a minute after the start: %+v, %d runs", v, runs.Load())
		}
		broken.Store(true)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if v := verdict(); v.Failed != 1 || v.Warned != 1 || runs.Load() != 4 || time.Since(v.At) > time.Hour {
			t.Errorf("three hours later: %+v, %d runs", v, runs.Load())
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "mail server: it does not answer") {
			t.Errorf("%d errors in the log, want 1:\n%s", n, log.String())
		}
		broken.Store(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if v := verdict(); v.Failed != 0 || !strings.Contains(log.String(), `level=INFO msg="a check changed" check=mail state=ok`) {
			t.Errorf("repaired: %+v\n%s", v, log.String())
		}
		stop()
		synctest.Wait()
	})
}

// TestACancelledRunSaysNothing stops the portal while a check runs.
func TestACancelledRunSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := &admin.Checks{List: []admin.Check{{Name: "mail", Run: func(ctx context.Context) []portal.Finding {
			<-ctx.Done()
			return []portal.Finding{{State: portal.FindingFailed, Text: ctx.Err().Error()}}
		}}}}
		var log bytes.Buffer
		s, err := admin.New(admin.Config{Store: noStore{}, Checks: checks, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go s.RunHourly(ctx)
		time.Sleep(15 * time.Second) // in the middle of the check, which begins after 10
		stop()
		synctest.Wait()
		if log.Len() > 0 {
			t.Errorf("the log says\n%s", log.String())
		}
		ctx, stop = context.WithCancel(t.Context())
		go s.RunHourly(ctx)
		time.Sleep(time.Minute) // longer than a check may take
		synctest.Wait()
		if !strings.Contains(log.String(), "deadline exceeded") {
			t.Errorf("a check that hangs is not in the log:\n%s", log.String())
		}
		stop()
		synctest.Wait()
	})
}

// TestACheckThatHangsHoldsNothingUp: it is reported as failed, the others and the next hour
// go on, it is not started twice, and it counts again once it ended.
func TestACheckThatHangsHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, others atomic.Int32
		release := make(chan struct{})
		checks := &admin.Checks{List: []admin.Check{
			{Name: "mail", Run: func(context.Context) []portal.Finding { // which ignores its context
				runs.Add(1)
				<-release
				return []portal.Finding{{What: "mail", State: portal.FindingOK}}
			}},
			{Name: "database", Run: func(context.Context) []portal.Finding { others.Add(1); return nil }},
			{Name: "directory", Run: func(ctx context.Context) []portal.Finding { // which ends a little late
				<-ctx.Done()
				time.Sleep(time.Second)
				return []portal.Finding{{State: portal.FindingWarning}}
			}},
		}}
		s := testkit.Must(admin.New(admin.Config{Store: noStore{}, Checks: checks, Log: slog.New(slog.DiscardHandler)}))(t)
		ctx, stop := context.WithCancel(t.Context())
		go s.RunHourly(ctx)
		results := func() []admin.CheckResult {
			synctest.Wait()
			return testkit.Must(s.Checks(t.Context(), ada()))(t)
		}
		time.Sleep(time.Minute)
		got := results()
		if got[0].State() != portal.FindingFailed || !strings.Contains(got[0].Findings[0].Text, "did not end within 12s") {
			t.Errorf("the one that hangs: %+v", got[0])
		}
		if got[1].At.IsZero() || got[2].State() != portal.FindingWarning {
			t.Errorf("the others: %+v", got[1:])
		}
		time.Sleep(2 * time.Hour)
		if got := results(); got[0].State() != portal.FindingFailed || time.Since(got[0].At) > time.Hour || runs.Load() != 1 || others.Load() != 3 {
			t.Errorf("two hours later: %+v, %d and %d runs", got[0], runs.Load(), others.Load())
		}
		close(release)
		time.Sleep(time.Hour + time.Minute)
		if got := results(); got[0].State() != portal.FindingOK || runs.Load() != 2 {
			t.Errorf("when it ended: %+v, %d runs", got[0], runs.Load())
		}
		stop()
		synctest.Wait()
	})
}

// A run from outside ends two seconds after its limit, also when a check ignores its context.
func TestRunEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		checks := &admin.Checks{Limit: 12 * time.Second, List: []admin.Check{
			{Name: "mail", Run: func(context.Context) []portal.Finding { <-release; return nil }},
			{Name: "directory", Run: func(ctx context.Context) []portal.Finding {
				<-ctx.Done()
				return []portal.Finding{{State: portal.FindingFailed}}
			}},
			{Name: "database", Run: func(context.Context) []portal.Finding { return []portal.Finding{{State: portal.FindingOK}} }},
		}}
		began := time.Now()
		got := checks.Run(t.Context(), time.Now)
		if took := time.Since(began); took != 14*time.Second {
			t.Errorf("took %v", took)
		}
		if !got[0].Late() || got[1].Late() || got[0].State() != portal.FindingFailed || got[2].State() != portal.FindingOK {
			t.Errorf("got %+v", got)
		}
		close(release)
		synctest.Wait()
	})
}
