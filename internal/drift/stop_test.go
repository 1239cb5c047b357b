package drift_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

var errDown = errors.New("dialing dc1: connection refused")

func TestA11_OutageRevokesNobody(t *testing.T) {
	t.Parallel()
	faults := []struct {
		name string
		put  func(f *fault)
		want drift.StopReason
	}{
		{"does not answer for many", func(f *fault) {
			f.many = func(context.Context, []portal.Person, error) ([]portal.Person, error) { return nil, errDown }
		}, drift.NoAnswer},
		{"does not answer for one", func(f *fault) {
			f.one = func(context.Context, portal.Person, error) (portal.Person, error) { return portal.Person{}, errDown }
		}, drift.NoAnswer},
		{"answers for one after a time-out", func(f *fault) {
			f.one = func(context.Context, portal.Person, error) (portal.Person, error) {
				return portal.Person{}, context.DeadlineExceeded
			}
		}, drift.NoAnswer},
		{"speaks of somebody else", func(f *fault) {
			f.many = func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
				return append(people, portal.Person{ID: "id-stranger"}), err
			}
		}, drift.WrongAnswer},
		{"speaks of one twice", func(f *fault) {
			f.many = func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
				return append(people, people[0]), err
			}
		}, drift.WrongAnswer},
		{"answers with another person", func(f *fault) {
			f.one = func(_ context.Context, p portal.Person, err error) (portal.Person, error) {
				p.ID = "id-stranger"
				return p, err
			}
		}, drift.WrongAnswer},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			c := newHarness(t, fixture.SQLite(t), staff(6)...)
			c.disable("p001")
			c.want(c.look(), 1, 0, 0, "")
			c.disable("p005")
			c.clock.Advance(2 * grace)
			f.put(&c.fault)
			for range 4 {
				r := c.look()
				c.want(r, 0, 0, 0, f.want)
				testkit.Equal(t, "cause is told", r.Err != nil, true)
				c.clock.Advance(every)
			}
			testkit.Equal(t, "stopped", c.count(audit.WatchStopped), 1)
			testkit.Equal(t, "alarms", c.log.Count("level=ERROR"), 1)
			testkit.Equal(t, "reason", c.last(audit.WatchStopped).Detail["reason"], string(f.want))
			testkit.Equal(t, "state", testkit.Must(c.db.DriftState(t.Context()))(t).Reason, f.want)
			testkit.Equal(t, "due and not revoked", c.certificate("p001").Status, portal.Issued)

			c.fault.mend()
			c.want(c.look(), 1, 0, 1, "")
			c.want(c.look(), 0, 0, 0, "")
			testkit.Equal(t, "resumed", c.count(audit.WatchResumed), 1)
			testkit.Equal(t, "stopped", c.count(audit.WatchStopped), 1)
		})
	}
}

// A late failure in a pass also stops what was found before it.
func TestA11_AnOutageInTheMiddleStopsTheWholePass(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(450)...)
	c.disable("p000", "p001")
	c.want(c.look(), 2, 0, 0, "")
	c.disable("p002")
	c.clock.Advance(grace)
	asked := 0
	c.fault.many = func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
		if asked++; asked == 3 {
			return nil, errDown
		}
		return people, err
	}
	c.want(c.look(), 0, 0, 0, drift.NoAnswer)
	testkit.Equal(t, "questions", asked, 3)
	c.fault.mend()
	c.want(c.look(), 1, 0, 2, "")
}

func TestTheEndOfTheProgramIsNoOutage(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	ctx, cancel := context.WithCancel(t.Context())
	c.fault.many = func(ctx context.Context, _ []portal.Person, _ error) ([]portal.Person, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if _, err := c.Once(ctx, drift.Options{Apply: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that the pass was cancelled", err)
	}
	testkit.Equal(t, "stopped", c.count(audit.WatchStopped), 0)
}

func TestA11_TooManyAtOnceStops(t *testing.T) {
	t.Parallel()
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		c := newHarness(t, address, staff(20)...)
		c.disable("p001")
		c.want(c.look(), 1, 0, 0, "")
		c.clock.Advance(grace)
		c.disable("p007", "p008", "p009")
		for range 15 {
			r := c.look()
			c.want(r, 0, 0, 0, drift.TooMany)
			testkit.Equal(t, "changed", r.Changed, 4)
			testkit.Equal(t, "limit", r.Limit, 3)
			c.clock.Advance(every)
		}
		testkit.Equal(t, "stopped", c.count(audit.WatchStopped), 1)
		// Logged once, and again after an hour.
		testkit.Equal(t, "alarms", c.log.Count("level=ERROR"), 2)
		detail := c.last(audit.WatchStopped).Detail
		testkit.Equal(t, "told", detail["reason"]+" "+detail["changed"]+" "+detail["limit"]+" "+detail["holders"], "too-many at least 4 3 20")
		testkit.Equal(t, "due and not revoked", c.certificate("p001").Status, portal.Issued)

		all := drift.Options{Apply: true, AnyShare: true, Actor: "operator"}
		c.want(testkit.Must(c.Once(t.Context(), all))(t), 3, 0, 1, "")
		e := c.last(audit.WatchResumed)
		testkit.Equal(t, "override", e.Actor+" "+e.Detail["share"]+" "+e.Detail["changed"], "operator any 4")
		testkit.Equal(t, "in the entry of the act", c.last(audit.CertificateRevoked).Detail["share"], "any")
		// Allowed changes no longer count, and are carried out.
		c.clock.Advance(every)
		c.want(c.look(), 0, 0, 0, "")
		c.clock.Advance(every)
		c.want(c.look(), 0, 0, 3, "")
		testkit.Equal(t, "stopped", c.count(audit.WatchStopped), 1)
	})
}

func TestA11_WhoComesBackLetsTheWatchGoOn(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(20)...)
	c.disable("p001", "p002", "p003")
	c.want(c.look(), 3, 0, 0, "")
	c.disable("p004")
	c.want(c.look(), 0, 0, 0, drift.TooMany)
	c.enable("p001", "p002")
	c.want(c.look(), 1, 2, 0, "")
	testkit.Equal(t, "resumed", c.count(audit.WatchResumed), 1)
}

func TestA11_ASlowBleedStopsToo(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(20)...)
	var revoked []time.Duration
	for hour := range 30 {
		if hour < 5 {
			c.disable(staff(20)[hour])
		}
		for range 4 {
			if r := c.look(); r.Revoked > 0 {
				revoked = append(revoked, c.clock.Now().Sub(testkit.Noon).Round(time.Hour))
			}
			c.clock.Advance(15 * time.Minute)
		}
	}
	// The first three change one by one. The fourth and the fifth stop the watch, and
	// it resumes when two of the first three are a day old.
	want := []time.Duration{0, time.Hour, 2 * time.Hour, 25 * time.Hour}
	testkit.Equal(t, "revocations", slices.Equal(revoked, want), true)
	if t.Failed() {
		t.Log(revoked)
	}
	testkit.Equal(t, "revoked", c.count(audit.CertificateRevoked), 5)
	testkit.Equal(t, "stopped", c.count(audit.WatchStopped), 1)
	testkit.Equal(t, "resumed", c.count(audit.WatchResumed), 1)
}

func TestTheLimitDoesNotFallWithThoseWhoLeft(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(61)...)
	c.disable(staff(4)...)
	c.want(c.look(), 4, 0, 0, "")
	c.clock.Advance(grace)
	c.want(c.look(), 0, 0, 4, "")
	c.clock.Advance(every)
	r := c.look()
	c.want(r, 0, 0, 0, "")
	testkit.Equal(t, "holders", r.Holders, 57)
	testkit.Equal(t, "limit", r.Limit, 4)
	testkit.Equal(t, "changed", r.Changed, 4)
}

func TestA11_ADirectoryThatKnowsNobodyIsAnotherOne(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		holders int
		want    drift.StopReason
	}{
		{"one", 1, ""},
		{"two", 2, drift.NobodyKnown},
		{"many", 30, drift.NobodyKnown},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			c := newHarness(t, fixture.SQLite(t), staff(cs.holders)...)
			c.remove(staff(cs.holders)...)
			c.look()
			c.clock.Advance(grace)
			r := c.look()
			testkit.Equal(t, "stopped", r.Stopped, cs.want)
			testkit.Equal(t, "revoked", r.Revoked > 0, cs.want == "")
			if cs.want == "" {
				return
			}
			c.want(testkit.Must(c.Once(t.Context(), drift.Options{Apply: true, AnyShare: true}))(t), cs.holders, 0, 0, "")
		})
	}
}

// Faults of the store are errors, and no reason to stop.
func TestAStoreInTroubleEndsThePass(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.disable("p001")
	c.want(c.look(), 1, 0, 0, "")
	c.clock.Advance(grace)
	for _, lose := range []string{"the answer", "the database"} {
		c.fault.many = func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
			c.db.Close()
			if lose == "the answer" {
				return nil, errDown
			}
			return people, err
		}
		r, err := c.Once(t.Context(), drift.Options{Apply: true})
		testkit.Equal(t, "fails with "+lose, err != nil, true)
		testkit.Equal(t, "cause in the error", errors.Is(err, errDown), lose == "the answer")
		testkit.Equal(t, "revoked", r.Revoked, 0)
		testkit.Equal(t, "nudges", c.revoked.Load(), 0)
		c.open()
	}
	c.fault.mend()
	c.want(c.look(), 0, 0, 1, "")
	testkit.Equal(t, "stopped", c.count(audit.WatchStopped), 0)
}

// TestA11_AnotherDirectoryRevokesNobody moves to another directory with so few people
// that the share is not exceeded: their ids are unknown there.
func TestA11_AnotherDirectoryRevokesNobody(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(2)...)
	c.want(c.look(), 0, 0, 0, "")
	c.source = "active-directory corp.example"
	if err := c.db.Close(); err != nil {
		t.Fatal(err)
	}
	c.open()
	c.disable("p001")
	c.want(c.look(), 0, 0, 0, drift.OtherDirectory)
	c.clock.Advance(2 * grace)
	c.want(c.look(), 0, 0, 0, drift.OtherDirectory)
	// An administrator confirms it.
	report := testkit.Must(c.Once(t.Context(), drift.Options{Apply: true, AnyShare: true}))(t)
	testkit.Equal(t, "marked", report.Added, 1)
	c.want(c.look(), 0, 0, 0, "")
}
