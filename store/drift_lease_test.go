package store_test

import (
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// One drift watch has the lease at a time, and one that lost it writes nothing.
func TestF9_DriftLease(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, now := t.Context(), testkit.Noon
		replica := opened(t, db.address)
		acquire := func(holder string, at time.Time, force bool) (drift.Lease, error) {
			return replica.AcquireDriftLease(ctx, holder, at, at.Add(20*time.Second), force)
		}
		first := testkit.Must(acquire("a", now, false))(t)
		_, err := acquire("b", now.Add(19*time.Second), false)
		wantError(t, "while another one works", err, drift.ErrBusy)
		testkit.NoError(t, db.RenewDriftLease(ctx, first, now.Add(40*time.Second)))
		_, err = acquire("b", now.Add(39*time.Second), false)
		wantError(t, "after a renewal", err, drift.ErrBusy)
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		writeAll(t, db.DriftWriter(first), e, nil)

		second := testkit.Must(acquire("b", now.Add(40*time.Second), false))(t)
		before := len(fixture.Entries(t, db))
		writeAll(t, db.DriftWriter(first), e, drift.ErrLeaseLost)
		testkit.Equal(t, "entries of the one that lost it", len(fixture.Entries(t, db)), before)
		wantError(t, "renewing", db.RenewDriftLease(ctx, first, now.Add(time.Hour)), drift.ErrLeaseLost)
		wantError(t, "returning", db.ReleaseDriftLease(ctx, first), drift.ErrLeaseLost)

		forced := testkit.Must(acquire("operator", now.Add(41*time.Second), true))(t)
		wantError(t, "after an operator took it", db.RenewDriftLease(ctx, second, now.Add(time.Hour)), drift.ErrLeaseLost)
		testkit.NoError(t, db.ReleaseDriftLease(ctx, forced))
		testkit.Must(acquire("b", now.Add(41*time.Second), false))(t)
		again := testkit.Must(acquire("b", now.Add(42*time.Second), false))(t) // the same process, after an error
		wantError(t, "an older turn of the same holder", db.RenewDriftLease(ctx, second, now.Add(time.Hour)), drift.ErrLeaseLost)
		testkit.NoError(t, db.RenewDriftLease(ctx, again, now.AddDate(1, 0, 0)))
		testkit.Must(acquire("c", now.Add(time.Minute), false))(t) // a lease from a wrong clock does not last a year
	})
}

// writeAll calls all that a watch may write.
func writeAll(t *testing.T, w drift.Writer, e fixture.Enrolment, want error) {
	t.Helper()
	ctx, entry := t.Context(), fixture.NewEntry(testkit.Noon, audit.WatchStopped, "system")
	_, err := w.StopDrift(ctx, drift.NoAnswer, testkit.Noon, entry)
	wantError(t, "stopping", err, want)
	wantError(t, "allowing", w.AllowDrift(ctx, testkit.Noon, entry), want)
	_, err = w.ResumeDrift(ctx, entry)
	wantError(t, "resuming", err, want)
	wantError(t, "recording a pass", w.RecordDriftPass(ctx, testkit.Noon, "builtin"), want)
	_, _, err = w.UpdateMismatches(ctx, mismatchUpdate(testkit.Noon, changes(portal.UPNChanged), e))
	wantError(t, "updating mismatches", err, want)
	var ended []ca.Serial
	ended, err = w.RevokeReused(ctx, drift.Reuse{Person: anna, UPN: "another@corp.example", At: testkit.Noon, Entry: entry})
	wantError(t, "revoking for a UPN", err, want)
	testkit.Equal(t, "revoked for a UPN", len(ended), 0)
	ended, err = w.RevokeLeaver(ctx, drift.Leaver{Person: anna, Cause: portal.Privileged, At: testkit.Noon, Due: testkit.Noon, Entry: entry})
	wantError(t, "revoking a leaver", err, want)
	testkit.Equal(t, "revoked leavers", len(ended), 0)
}
