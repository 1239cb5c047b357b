package drift_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestA11_LeaverLosesTheCertificatesAfterTheGrace(t *testing.T) {
	t.Parallel()
	leaving := []struct {
		change portal.Change
		leave  func(c *harness)
	}{
		{portal.AccountDisabled, func(c *harness) { c.disable("p001") }},
		{portal.AccountGone, func(c *harness) { c.remove("p001") }},
		{portal.AccountExpired, func(c *harness) { c.fault.expire("id-p001") }},
	}
	for _, l := range leaving {
		t.Run(string(l.change), func(t *testing.T) {
			fixture.OnBothEngines(t, func(t *testing.T, address string) {
				c := newHarness(t, address, staff(4)...)
				second := c.issue("p001")
				c.want(c.look(), 0, 0, 0, "")
				c.signIn("p001")

				l.leave(c)
				r := c.look()
				c.want(r, 2, 0, 0, "")
				testkit.Equal(t, "mark", c.certificate("p001").Changed, l.change)
				testkit.Equal(t, "signed in", c.signedIn("p001"), false)
				f := r.Mismatches[0]
				testkit.Equal(t, "finding", f.Change, l.change)
				testkit.Equal(t, "person", f.Person, "id-p001")
				testkit.Equal(t, "upn", f.UPN, "p001@corp.example")
				testkit.Equal(t, "serials", len(f.Serials), 2)
				testkit.Equal(t, "due", f.Due, c.clock.Now().Add(grace))

				c.clock.Advance(grace - time.Millisecond)
				c.want(c.look(), 0, 0, 0, "")
				testkit.Equal(t, "nudges", c.revoked.Load(), 0)
				c.clock.Advance(time.Millisecond)
				c.want(c.look(), 0, 0, 2, "")
				testkit.Equal(t, "nudges", c.revoked.Load(), 1)
				ended := testkit.Must(c.db.Certificate(t.Context(), second))(t)
				testkit.Equal(t, "status", ended.Status, portal.Revoked)
				testkit.Equal(t, "cause", ended.Cause, portal.Left)
				testkit.Equal(t, "others", c.certificate("p000").Status, portal.Issued)

				e := c.last(audit.CertificateRevoked)
				testkit.Equal(t, "actor", e.Actor+" "+e.Role, "system system")
				testkit.Equal(t, "account", e.Detail["account"], string(l.change))
				testkit.Equal(t, "marked", c.count(audit.MismatchFound), 2)
				testkit.Equal(t, "revoked", c.count(audit.CertificateRevoked), 2)
				c.want(c.look(), 0, 0, 0, "")
			})
		})
	}
}

// expire makes an account expire, which the built-in directory cannot.
func (f *fault) expire(id portal.PersonID) {
	f.many = func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
		for i := range people {
			people[i].Expired = people[i].ID == id
		}
		return people, err
	}
	f.one = func(_ context.Context, p portal.Person, err error) (portal.Person, error) {
		p.Expired = p.ID == id
		return p, err
	}
}

func (c *harness) signIn(login string) {
	c.t.Helper()
	err := c.db.SaveSession(c.t.Context(), [32]byte{1}, "id-"+login, []byte("sealed"), time.Hour, c.clock.Now().Add(time.Hour), c.clock.Now())
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *harness) signedIn(string) bool {
	_, err := c.db.Session(c.t.Context(), [32]byte{1}, c.clock.Now())
	return err == nil
}

// From disabling an account to the revocation, at any time between two passes and with
// any random delay.
func TestA11_EndsWithinFifteenMinutes(t *testing.T) {
	t.Parallel()
	for _, chance := range []float64{0, 0.5, 1} {
		t.Run(fmt.Sprint(chance), func(t *testing.T) {
			c := newHarness(t, fixture.SQLite(t), staff(2)...)
			r := c.look()
			c.disable("p000")
			left := c.clock.Now()
			for r.Revoked == 0 && c.clock.Now().Sub(left) < time.Hour {
				c.clock.Advance(c.Delay(r, nil, chance))
				r = c.look()
			}
			if took := c.clock.Now().Sub(left); took > 15*time.Minute {
				t.Errorf("revoked after %v, want 15 minutes at most", took)
			}
		})
	}
}

func TestA11_GraceOutlivesARestart(t *testing.T) {
	t.Parallel()
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		c := newHarness(t, address, staff(4)...)
		c.disable("p001")
		c.want(c.look(), 1, 0, 0, "")
		for range 3 {
			c.clock.Advance(grace / 3)
			if err := c.db.Close(); err != nil {
				t.Fatal(err)
			}
			c.open()
		}
		c.want(c.look(), 0, 0, 1, "")
		testkit.Equal(t, "marked", c.count(audit.MismatchFound), 1)
	})
}

func TestA11_BackBeforeTheGraceEnds(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.disable("p001")
	c.want(c.look(), 1, 0, 0, "")
	c.clock.Advance(grace - time.Second)
	c.enable("p001")
	c.want(c.look(), 0, 1, 0, "")
	testkit.Equal(t, "mark", c.certificate("p001").Changed, "")
	testkit.Equal(t, "unmarked", c.count(audit.MismatchResolved), 1)

	c.clock.Advance(time.Hour)
	c.disable("p001")
	c.want(c.look(), 1, 0, 0, "")
	c.clock.Advance(grace / 2)
	// Deleting a disabled account starts no second grace period.
	c.remove("p001")
	c.want(c.look(), 1, 0, 0, "")
	testkit.Equal(t, "mark", c.certificate("p001").Changed, portal.AccountGone)
	c.clock.Advance(grace / 2)
	c.want(c.look(), 0, 0, 1, "")
}

// A disabled account is revoked even if it is deleted at the last moment.
func TestA11_DeletedWhenTheGraceEnds(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.disable("p001")
	c.want(c.look(), 1, 0, 0, "")
	c.clock.Advance(grace)
	c.remove("p001")
	c.want(c.look(), 0, 0, 1, "")
	testkit.Equal(t, "account", c.last(audit.CertificateRevoked).Detail["account"], "gone")
}

func TestA11_ClockSetBackEndsNobodyEarly(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.disable("p001")
	c.want(c.look(), 1, 0, 0, "")
	c.clock.Advance(-6 * time.Hour)
	c.want(c.look(), 0, 0, 0, "")
	testkit.Equal(t, "mark", c.certificate("p001").Changed, portal.AccountDisabled)
	c.clock.Advance(grace - time.Millisecond)
	c.want(c.look(), 0, 0, 0, "")
	// The grace period counts from the current clock: otherwise the certificate would
	// stay valid until the clock has caught up.
	c.clock.Advance(time.Millisecond)
	c.want(c.look(), 0, 0, 1, "")
	testkit.Equal(t, "marked", c.count(audit.MismatchFound), 1)
}

func TestA11_TwoWatchesAtOnce(t *testing.T) {
	t.Parallel()
	const leavers = 3
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		c := newHarness(t, address, staff(12)...)
		other := fixture.Open(t, address)
		defer other.Close()
		watches := []*drift.Watch{c.Watch, c.watch(c.db), c.watch(other), c.watch(other)}
		together := func() (marked, unmarked, revoked int) {
			var mu sync.Mutex
			var waiting sync.WaitGroup
			for _, w := range watches {
				waiting.Go(func() {
					r, err := w.Once(t.Context(), drift.Options{Apply: true})
					// Each takes the lease from the one before.
					if err != nil && !errors.Is(err, drift.ErrLeaseLost) || r.Stopped != "" {
						t.Errorf("pass: stopped %q, %v", r.Stopped, err)
					}
					mu.Lock()
					defer mu.Unlock()
					marked, unmarked, revoked = marked+r.Added, unmarked+r.Removed, revoked+r.Revoked
				})
			}
			waiting.Wait()
			return marked, unmarked, revoked
		}
		c.disable(staff(leavers)...)
		for _, want := range []string{"3 0 0", "0 0 0"} {
			marked, unmarked, revoked := together()
			testkit.Equal(t, "passes", fmt.Sprint(marked, unmarked, revoked), want)
			c.clock.Advance(grace / 2)
		}
		c.enable("p000")
		for _, want := range []string{"0 1 2", "0 0 0"} {
			marked, unmarked, revoked := together()
			testkit.Equal(t, "passes", fmt.Sprint(marked, unmarked, revoked), want)
		}
		testkit.Equal(t, "marked", c.count(audit.MismatchFound), leavers)
		testkit.Equal(t, "unmarked", c.count(audit.MismatchResolved), 1)
		testkit.Equal(t, "revoked", c.count(audit.CertificateRevoked), leavers-1)
	})
}

func TestA11_AWobblingReplicaIsNotBelieved(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	lies := []struct {
		name string
		many func(context.Context, []portal.Person, error) ([]portal.Person, error)
	}{
		{"leaves one out", func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
			return people[1:], err
		}},
		{"knows nobody", func(_ context.Context, _ []portal.Person, err error) ([]portal.Person, error) {
			return nil, err
		}},
		{"says all are disabled", func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
			for i := range people {
				people[i].Disabled = true
			}
			return people, err
		}},
	}
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			c.fault.many = l.many
			c.want(c.look(), 0, 0, 0, "")
		})
	}
	testkit.Equal(t, "marked", c.count(audit.MismatchFound), 0)
	testkit.Equal(t, "log", c.log.Count("level=ERROR") > 0, false)
}
