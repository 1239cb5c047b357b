package crl

import (
	"context"
	"fmt"
	"math/big"
	"runtime/debug"
	"time"

	"certportal/ca"
)

// backdate is subtracted from thisUpdate, as from notBefore of certificates, for clients
// whose clock is slow.
const backdate = ca.ClockSkew

// leastLease is the minimum duration of a lease. When a builder dies, another takes over
// after its lease expired.
const leastLease = 30 * time.Second

// longList is the number of entries from which the memory of a build is returned to the
// operating system.
const longList = 100_000

// lease gives the duration of the next lease: 4 times that of the last build at least, so
// that it does not expire during a long build, for each builder in turn.
func (u *updater) lease() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return max(leastLease, 4*u.took)
}

// publish builds, signs and stores the lists in w under a lease. The database is not
// locked while it builds and signs. The error is ErrBusy when another builder holds the lease.
func (u *updater) publish(ctx context.Context, w due) error {
	u.building.Lock()
	defer u.building.Unlock()
	// The key first: a list that cannot be signed must not use up a number.
	issuer, err := u.a.Issuer()
	if err != nil {
		return fmt.Errorf("unlocking: %w", err)
	}
	began := time.Now()
	duration := u.lease()
	lease, err := u.p.c.Store.AcquireLease(ctx, u.a.Name, u.p.c.Builder, u.p.c.Now(), duration)
	if err != nil {
		return fmt.Errorf("acquiring lease: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	lists, err := u.buildUnderLease(within, issuer, lease, w)
	u.mu.Lock()
	u.took = time.Since(began)
	switch {
	case err != nil:
		u.failures++
	case len(lists) > 0:
		u.builds++
	}
	u.mu.Unlock()
	if err != nil || len(lists) == 0 {
		u.releaseLease(ctx, lease)
		return err
	}
	for _, l := range lists {
		u.advance(l)
		u.p.c.Log.Info("revocation list published", "issuer", u.a.Name, "number", l.Number, "base", l.Base,
			"entries", l.Entries, "next", l.NextUpdate)
	}
	u.mu.Lock()
	u.waiting = false
	clear(u.damaged)
	u.mu.Unlock()
	if lists[0].Entries > longList {
		debug.FreeOSMemory()
	}
	return nil
}

// releaseLease lets another builder begin at once.
func (u *updater) releaseLease(ctx context.Context, lease Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := u.p.c.Store.ReleaseLease(ctx, lease); err != nil {
		u.p.c.Log.Warn("releasing the lease, which expires by itself", "issuer", u.a.Name, "err", err)
	}
}

// buildUnderLease checks again what is due, because the previous holder of the lease may
// have made it, then builds and stores. It returns no lists and no error when nothing is
// due.
func (u *updater) buildUnderLease(ctx context.Context, issuer *ca.Issuer, lease Lease, w due) ([]List, error) {
	due, err := u.findDue(ctx)
	if err != nil {
		return nil, err
	}
	if !w.forced {
		w = due
	}
	if !w.any() {
		return nil, nil
	}
	for _, delta := range u.kinds() {
		if l := u.list(delta); l != nil && lease.Through < l.Through {
			return nil, errRewound
		}
	}
	lists, err := u.build(ctx, issuer, lease, w)
	if err != nil {
		return nil, err
	}
	if err := u.p.c.Store.Publish(ctx, lease, lists...); err != nil {
		return nil, fmt.Errorf("publishing: %w", err)
	}
	return lists, nil
}

// build makes the lists of a lease. With a complete list it makes a delta list of the same
// number: the base and the delta list give the same status as the complete list (RFC 5280
// section 5.2.4).
func (u *updater) build(ctx context.Context, issuer *ca.Issuer, lease Lease, w due) ([]List, error) {
	var lists []List
	if w.complete {
		l, err := u.sign(ctx, issuer, lease, List{}, u.a.Life, u.a.Renew)
		if err != nil {
			return nil, err
		}
		lists = append(lists, l)
	}
	if u.a.DeltaRenew == 0 {
		return lists, nil
	}
	base, ok, err := u.p.c.Store.Oldest(ctx, u.a.Name, u.p.c.Now())
	if err != nil {
		return nil, fmt.Errorf("looking for the list to add to: %w", err)
	}
	if !ok {
		return lists, nil
	}
	l, err := u.sign(ctx, issuer, lease, base, deltaLives*u.a.DeltaRenew, u.a.DeltaRenew)
	if err != nil {
		return nil, err
	}
	return append(lists, l), nil
}

// sign builds and signs one list: a complete one, or, with a base, the delta list to it.
func (u *updater) sign(ctx context.Context, issuer *ca.Issuer, lease Lease, base List, life, renew time.Duration) (List, error) {
	now := u.p.c.Now().UTC().Truncate(time.Second)
	// An entry is removed one life after the certificate expired, so that at least one
	// list issued after expiry contains it (RFC 5280 section 3.3).
	revoked, err := u.p.c.Store.Revoked(ctx, u.a.Name, base.Through, lease.Through, now.Add(-u.a.Life))
	if err != nil {
		return List{}, fmt.Errorf("collecting revocations: %w", err)
	}
	l := List{
		Issuer: u.a.Name, Number: lease.Number, Base: base.Number, Through: lease.Through,
		ThisUpdate: u.thisUpdate(now), NextUpdate: now.Add(life), Entries: len(revoked),
	}
	for i := range revoked {
		revoked[i].At = ca.RevokedAt(revoked[i].At, now)
	}
	cfg := ca.CRLConfig{
		Number: big.NewInt(l.Number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Revoked: revoked,
		NextPublish: now.Add(min(renew, life/2)),
	}
	if l.Base > 0 {
		cfg.Base = big.NewInt(l.Base)
	} else {
		cfg.Freshest = u.a.Freshest
	}
	if l.DER, err = issuer.CRL(cfg); err != nil {
		return List{}, err
	}
	l.Published = u.p.c.Now().UTC()
	return l, nil
}

// thisUpdate gives the backdated time of the list, never before that of an earlier list:
// the clocks of two replicas may differ by a second.
func (u *updater) thisUpdate(now time.Time) time.Time {
	at := now.Add(-backdate)
	for _, delta := range u.kinds() {
		if l := u.list(delta); l != nil && l.ThisUpdate.After(at) {
			at = l.ThisUpdate
		}
	}
	return at
}
