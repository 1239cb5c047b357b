package enroll_test

import (
	"slices"
	"testing"
	"time"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestFaults: of several faults that hold at once, the one that is certain and ends most is
// named; each change below adds one that comes before those of the steps before it.
func TestFaults(t *testing.T) {
	h := newPortal(t)
	now := h.Clock.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	d := portal.Device{ID: "d1", Name: "phone", Certificate: portal.Certificate{
		Status: portal.Issued, NotBefore: ago(1000 * time.Hour), NotAfter: now.Add(1000 * time.Hour), Delivered: ago(50 * time.Hour),
	}}
	c, u, refusal := &d.Certificate, enroll.Use{Downloads: 2, Asked: ago(time.Hour)}, (*portal.Refusal)(nil)
	var found []enroll.Fault
	for _, step := range []struct {
		want   enroll.Fault
		change func()
	}{
		{enroll.FaultUntested, func() {}},
		{enroll.FaultUntested, func() { refusal = &portal.Refusal{Reason: portal.NotAllowed} }},
		{enroll.FaultUntested, func() { u.Earlier = ago(51 * time.Hour) }}, // before it was downloaded
		{enroll.FaultUntested, func() { c.Changed = portal.AccountUnread }},
		{enroll.FaultFile, func() { u.Downloads = 3 }},
		{enroll.FaultUntested, func() { c.Works = ago(40 * time.Hour) }}, // its person said so
		{enroll.FaultTestAgain, func() { u.LastShown = enroll.LastShown{Verdict: portal.VerdictWorks, At: ago(24 * time.Hour)} }},
		{enroll.FaultMail, func() { u.At = ago(24*time.Hour - time.Second) }},
		{enroll.FaultMail, func() { u.Earlier = ago(25 * time.Hour) }}, // before the newest was
		{enroll.FaultEarlier, func() { u.Earlier = ago(time.Hour) }},
		{enroll.FaultNotDownloaded, func() { c.Delivered = time.Time{} }},
		{enroll.FaultNotDownloaded, func() { c.Status = portal.Pending }},
		{enroll.FaultSuperseded, func() { c.Status, c.Ends = portal.Superseded, now.Add(time.Hour) }},
		{enroll.FaultRenamed, func() { c.Changed = portal.UPNChanged }},
		{enroll.FaultVoid, func() { c.Void = ago(time.Hour) }},
		{enroll.FaultExpired, func() { c.Status, c.NotAfter = portal.Issued, now }},
		{enroll.FaultEnded, func() { c.Status, c.Cause = portal.Revoked, portal.Withdrawn }},
		{enroll.FaultNeverFetched, func() { c.Cause = portal.Undelivered }},
		{enroll.FaultAccount, func() { refusal.Reason = portal.Disabled }},
		{enroll.FaultBlocked, func() { d.Blocked = ago(time.Hour) }},
	} {
		step.change()
		if got := h.FaultOf(d, u, refusal); got != step.want {
			t.Errorf("got %s, want %s of %+v, %+v", got, step.want, d, u)
		}
		found = append(found, step.want)
	}
	for _, fault := range enroll.Faults() {
		if !slices.Contains(found, fault) {
			t.Errorf("%s is in no step", fault)
		}
	}
}

// TestFaultOfAnAccount: reasons that only keep a person from a new certificate are no fault
// of the one they have.
func TestFaultOfAnAccount(t *testing.T) {
	h := newPortal(t)
	now := h.Clock.Now()
	for why, want := range map[portal.Reason]enroll.Fault{
		portal.Locked: enroll.FaultAccount, portal.Expired: enroll.FaultAccount, portal.Protected: enroll.FaultAccount, portal.UnknownPerson: enroll.FaultAccount,
		portal.QuotaReached: enroll.FaultUntested, portal.Halted: enroll.FaultUntested, portal.TooOften: enroll.FaultUntested, portal.NoUPN: enroll.FaultUntested,
	} {
		d := portal.Device{Certificate: portal.Certificate{Status: portal.Issued, NotAfter: now.Add(time.Hour), Delivered: now}}
		testkit.Equal(t, string(why), h.FaultOf(d, enroll.Use{}, &portal.Refusal{Reason: why}), want)
	}
	for change, want := range map[portal.Change]enroll.Fault{
		portal.AccountGone: enroll.FaultAccount, portal.AccountDisabled: enroll.FaultAccount, portal.AccountExpired: enroll.FaultAccount,
		portal.BecameProtected: enroll.FaultAccount, portal.UPNReused: enroll.FaultAccount, portal.SIDChanged: enroll.FaultRenamed,
	} {
		d := portal.Device{Certificate: portal.Certificate{Status: portal.Issued, NotAfter: now.Add(time.Hour), Delivered: now, Changed: change}}
		testkit.Equal(t, string(change), h.FaultOf(d, enroll.Use{}, nil), want)
	}
}
