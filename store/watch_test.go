package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
)

func TestTheStopIsSharedAndToldOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		equal(t, "fresh state", must[drift.State](t)(db.DriftState(ctx)), drift.State{})
		stop := func(reason drift.StopReason, at time.Time) bool {
			t.Helper()
			return must[bool](t)(db.StopDrift(ctx, reason, at, entry(audit.WatchStopped, "system")))
		}
		resume := func() bool {
			t.Helper()
			return must[bool](t)(db.ResumeDrift(ctx, entry(audit.WatchResumed, "system")))
		}
		equal(t, "resuming what works", resume(), false)
		equal(t, "stopping", stop(drift.NoAnswer, noon), true)
		equal(t, "stopping again", stop(drift.NoAnswer, noon.Add(time.Hour)), false)
		equal(t, "for another reason", stop(drift.TooMany, noon.Add(2*time.Hour)), true)
		equal(t, "state", must[drift.State](t)(db.DriftState(ctx)), drift.State{Stopped: noon, Reason: drift.TooMany})
		db.DB = opened(t, db.address)
		equal(t, "after a restart", stop(drift.TooMany, noon.Add(3*time.Hour)), false)
		equal(t, "resuming", resume(), true)
		equal(t, "resuming again", resume(), false)
		if err := db.AllowDrift(ctx, noon, entry(audit.WatchResumed, "operator")); err != nil {
			t.Fatal(err)
		}
		equal(t, "state after letting go on", must[drift.State](t)(db.DriftState(ctx)), drift.State{Allowed: noon})
		equal(t, "ledger", actions(entries(t, db)), "[watch.stopped watch.stopped watch.resumed watch.resumed]")
	})
}

func TestReplicasTellTheStopOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		var first atomic.Int32
		var waiting sync.WaitGroup
		for range 8 {
			waiting.Go(func() {
				did, err := db.StopDrift(t.Context(), drift.NoAnswer, noon, entry(audit.WatchStopped, "system"))
				if err != nil {
					t.Error(err)
				}
				if did {
					first.Add(1)
				}
			})
		}
		waiting.Wait()
		equal(t, "first", first.Load(), 1)
		equal(t, "ledger", actions(entries(t, db)), "[watch.stopped]")
	})
}
