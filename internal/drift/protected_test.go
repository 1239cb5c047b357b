package drift_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// protect makes people protected: hint says whether People or the groups give them away.
func (f *fault) protect(hint string, ids ...portal.PersonID) {
	f.many = func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
		for i := range people {
			people[i].Protected = hint == "entry" && slices.Contains(ids, people[i].ID)
		}
		return people, err
	}
	f.one = func(_ context.Context, p portal.Person, err error) (portal.Person, error) {
		p.Protected = slices.Contains(ids, p.ID)
		return p, err
	}
	f.groups = func(context.Context) (map[portal.PersonID]bool, error) {
		in := map[portal.PersonID]bool{}
		for _, id := range ids {
			in[id] = hint == "groups"
		}
		return in, nil
	}
}

func TestA3_WhoBecomesProtectedLosesTheCertificates(t *testing.T) {
	t.Parallel()
	for _, hint := range []string{"entry", "groups"} {
		t.Run(hint, func(t *testing.T) {
			fixture.OnBothEngines(t, func(t *testing.T, address string) {
				c := newHarness(t, address, staff(4)...)
				second := c.issue("p001")
				c.want(c.look(), 0, 0, 0, "")
				c.signIn("p001")

				c.fault.protect(hint, "id-p001")
				r := c.look()
				c.want(r, 2, 0, 0, "")
				testkit.Equal(t, "mark", c.certificate("p001").Changed, portal.BecameProtected)
				testkit.Equal(t, "signed in", c.signedIn("p001"), true)
				f := r.Mismatches[0]
				testkit.Equal(t, "finding", string(f.Change)+" "+f.UPN, "protected p001@corp.example")
				testkit.Equal(t, "due", f.Due, c.clock.Now().Add(grace))
				testkit.Equal(t, "told", c.last(audit.MismatchFound).Detail["change"], "protected")

				c.clock.Advance(grace - time.Millisecond)
				c.want(c.look(), 0, 0, 0, "")
				c.clock.Advance(time.Millisecond)
				c.want(c.look(), 0, 0, 2, "")
				testkit.Equal(t, "nudges", c.revoked.Load(), 1)
				ended := testkit.Must(c.db.Certificate(t.Context(), second))(t)
				testkit.Equal(t, "cause", string(ended.Status)+" "+string(ended.Cause), "revoked privileged")
				testkit.Equal(t, "signed in afterwards", c.signedIn("p001"), true)
				testkit.Equal(t, "others", c.certificate("p000").Status, portal.Issued)
				c.want(c.look(), 0, 0, 0, "")
			})
		})
	}
}

func TestA3_ProtectedForAMomentKeepsTheCertificates(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.fault.protect("groups", "id-p001")
	c.want(c.look(), 1, 0, 0, "")
	c.fault.mend()
	c.clock.Advance(time.Hour)
	c.want(c.look(), 0, 1, 0, "")
	testkit.Equal(t, "status", c.certificate("p001").Status, portal.Issued)
}

// A hint that the person themselves does not confirm changes nothing.
func TestTheGroupsAreOnlyAHint(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.fault.groups = func(context.Context) (map[portal.PersonID]bool, error) {
		return map[portal.PersonID]bool{"id-p001": true}, nil
	}
	c.want(c.look(), 0, 0, 0, "")
}

func TestA3_ProtectedPeopleMayKeepTheirCertificatesUnderAlarm(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.action = drift.ProtectedAlarm
	c.Watch = c.watch(c.db)
	c.fault.protect("groups", "id-p001")
	r := c.look()
	c.want(r, 1, 0, 0, "")
	testkit.Equal(t, "due", r.Mismatches[0].Due, time.Time{})
	testkit.Equal(t, "told", c.last(audit.MismatchFound).Detail["keeps"], "alarm")
	c.clock.Advance(30 * 24 * time.Hour)
	c.want(c.look(), 0, 0, 0, "")
	testkit.Equal(t, "status", c.certificate("p001").Status, portal.Issued)

	// An account that is disabled has a grace period of its own.
	c.disable("p001")
	c.want(c.look(), 1, 0, 0, "")
	c.clock.Advance(grace)
	c.want(c.look(), 0, 0, 1, "")
	testkit.Equal(t, "cause", c.certificate("p001").Cause, portal.Left)

	c.action = drift.ProtectedIgnore
	c.Watch = c.watch(c.db)
	c.fault.protect("entry", "id-p002")
	c.want(c.look(), 0, 0, 0, "")
}

// Without the groups, leavers still lose their certificates, and people recorded as
// protected too.
func TestA3_A11_GroupsThatCannotBeReadStopNothingElse(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(8)...)
	c.fault.protect("groups", "id-p001")
	c.want(c.look(), 1, 0, 0, "")
	c.fault.groups = func(context.Context) (map[portal.PersonID]bool, error) { return nil, io.ErrUnexpectedEOF }
	c.disable("p002")
	r := c.look()
	c.want(r, 1, 0, 0, "")
	if r.Incomplete == nil || c.log.Count("some changes are not seen") == 0 {
		t.Errorf("report %v and log do not say that the groups were not read", r.Incomplete)
	}
	c.clock.Advance(grace)
	c.want(c.look(), 0, 0, 2, "")
}

func TestA3_ManyProtectedAtOnceStop(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(20)...)
	c.fault.protect("entry", "id-p001", "id-p002", "id-p003", "id-p004")
	c.want(c.look(), 0, 0, 0, drift.TooMany)
	c.clock.Advance(grace)
	c.want(c.look(), 0, 0, 0, drift.TooMany)
}
