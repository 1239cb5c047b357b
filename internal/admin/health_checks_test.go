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
		time.Sleep(20 * time.Second)
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
