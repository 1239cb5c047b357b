package enroll

import (
	"context"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/portal"
)

// sweepBatch bounds one transaction of the sweep.
const sweepBatch = 200

// Sweep clears what a crash or an absent phone left: reservations made before
// the given moment are revoked, because a signature may exist outside the store;
// pickups past their time are wiped; certificates whose key went with an unread
// pickup are revoked, and those that a renewal superseded when their time is over.
// It may run on several replicas at once, and decides by the time of Config.Clock.
//
// At start-up of a portal that is alone with its database the moment is now;
// otherwise it is Stale.
func (r *Registrar) Sweep(ctx context.Context, before time.Time) error {
	if err := r.c.Clock.Fault(); err != nil {
		return fmt.Errorf("nothing is swept: %w", err)
	}
	now, err := r.c.Clock.Now(ctx)
	if err != nil {
		return portal.AsOutage(portal.PartStore, "reading the time of the records", err)
	}
	err = r.sweepEach(ctx, portal.Abandoned, func() ([]ca.Serial, error) {
		return r.c.Store.Unfinished(ctx, before, sweepBatch)
	}, r.ending(ctx, portal.Abandoned))
	if err != nil {
		return err
	}
	if _, err := r.c.Store.WipePickups(ctx, now); err != nil {
		return portal.AsOutage(portal.PartStore, "wiping pickups", err)
	}
	err = r.sweepEach(ctx, portal.Undelivered, func() ([]ca.Serial, error) {
		return r.c.Store.Undelivered(ctx, now, sweepBatch)
	}, r.ending(ctx, portal.Undelivered))
	if err != nil {
		return err
	}
	// After the undelivered: a certificate whose successor was not fetched stays.
	return r.endOverdue(ctx, now)
}

// ending revokes certificates with a cause.
func (r *Registrar) ending(ctx context.Context, cause portal.Cause) func([]ca.Serial) (int, error) {
	return func(serials []ca.Serial) (int, error) { return r.revoke(ctx, portal.Actor{}, cause, "", serials...) }
}

// Stale is the moment before which a pending reservation can belong to no
// running request, here or on another replica.
func (r *Registrar) Stale() time.Time { return r.c.Now().Add(-ReservationLife) }

func (r *Registrar) sweepEach(ctx context.Context, cause portal.Cause,
	list func() ([]ca.Serial, error), end func([]ca.Serial) (int, error)) error {
	for {
		serials, err := list()
		if err != nil {
			return portal.AsOutage(portal.PartStore, "listing for the sweep", err)
		}
		if len(serials) == 0 {
			return nil
		}
		ended, err := end(serials)
		if err != nil {
			return err
		}
		r.c.Log.Info("swept", "cause", cause, "certificates", ended)
		if len(serials) < sweepBatch {
			return nil
		}
	}
}
