package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestTheStopIsSharedAndRecordedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		testkit.Equal(t, "fresh state", testkit.Must(db.DriftState(ctx))(t), drift.State{})
		stop := func(reason drift.StopReason, at time.Time) bool {
			t.Helper()
			return testkit.Must(db.StopDrift(ctx, reason, at, fixture.NewEntry(testkit.Noon, audit.WatchStopped, "system")))(t)
		}
		resume := func() bool {
			t.Helper()
			return testkit.Must(db.ResumeDrift(ctx, fixture.NewEntry(testkit.Noon, audit.WatchResumed, "system")))(t)
		}
		testkit.Equal(t, "resuming what works", resume(), false)
		testkit.Equal(t, "stopping", stop(drift.NoAnswer, testkit.Noon), true)
		testkit.Equal(t, "stopping again", stop(drift.NoAnswer, testkit.Noon.Add(time.Hour)), false)
		testkit.Equal(t, "for another reason", stop(drift.TooMany, testkit.Noon.Add(2*time.Hour)), true)
		testkit.Equal(t, "state", testkit.Must(db.DriftState(ctx))(t), drift.State{Stopped: testkit.Noon, Reason: drift.TooMany})
		db.DB = opened(t, db.address)
		testkit.Equal(t, "after a restart", stop(drift.TooMany, testkit.Noon.Add(3*time.Hour)), false)
		testkit.Equal(t, "resuming", resume(), true)
		testkit.Equal(t, "resuming again", resume(), false)
		if err := db.AllowDrift(ctx, testkit.Noon, fixture.NewEntry(testkit.Noon, audit.WatchResumed, "operator")); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "state after letting go on", testkit.Must(db.DriftState(ctx))(t), drift.State{Allowed: testkit.Noon})
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[watch.stopped watch.stopped watch.resumed watch.resumed]")
	})
}

func TestReplicasTellTheStopOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		var first atomic.Int32
		var waiting sync.WaitGroup
		for range 8 {
			waiting.Go(func() {
				did, err := db.StopDrift(t.Context(), drift.NoAnswer, testkit.Noon, fixture.NewEntry(testkit.Noon, audit.WatchStopped, "system"))
				if err != nil {
					t.Error(err)
				}
				if did {
					first.Add(1)
				}
			})
		}
		waiting.Wait()
		testkit.Equal(t, "first", first.Load(), 1)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[watch.stopped]")
	})
}
