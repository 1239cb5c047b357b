package store

import (
	"context"
	"time"

	"certportal/internal/drift"
)

// driftLeases are the leases of drift watches.
func driftLeases() leases { return leases{"drift-watch", drift.ErrBusy, drift.ErrLeaseLost} }

// AcquireDriftLease lets a watch work until a time. drift.ErrBusy says that the lease of
// another one runs; with force it is taken from that one.
func (db DriftRecords) AcquireDriftLease(ctx context.Context, holder string, now, until time.Time, force bool) (drift.Lease, error) {
	lease := drift.Lease{Holder: holder}
	err := db.writeWithin(ctx, answerWithin, "taking the lease of the drift watch", func(ctx context.Context, t *tx) (err error) {
		lease.Turn, err = driftLeases().acquire(ctx, t, holder, now, until, force)
		return err
	})
	return lease, err
}

// RenewDriftLease lets the lease last until a time.
func (db DriftRecords) RenewDriftLease(ctx context.Context, l drift.Lease, until time.Time) error {
	return db.writeWithin(ctx, answerWithin, "renewing the lease of the drift watch", func(ctx context.Context, t *tx) error {
		return driftLeases().renew(ctx, t, l.Holder, l.Turn, until)
	})
}

// ReleaseDriftLease lets another watch begin at once.
func (db DriftRecords) ReleaseDriftLease(ctx context.Context, l drift.Lease) error {
	return db.writeWithin(ctx, answerWithin, "returning the lease of the drift watch", func(ctx context.Context, t *tx) error {
		return driftLeases().release(ctx, t, l.Holder, l.Turn)
	})
}

// DriftWriter writes under the lease: each transaction fails with drift.ErrLeaseLost once
// another watch has it.
func (db DriftRecords) DriftWriter(l drift.Lease) drift.Writer {
	db.lease = &l
	return db
}

// writeHeld is writeWithin under the lease, if there is one.
func (db DriftRecords) writeHeld(ctx context.Context, within time.Duration, doing string, act func(context.Context, *tx) error) error {
	return db.writeWithin(ctx, within, doing, func(ctx context.Context, t *tx) error {
		if db.lease != nil {
			if err := driftLeases().hold(ctx, t, db.lease.Holder, db.lease.Turn); err != nil {
				return err
			}
		}
		return act(ctx, t)
	})
}
