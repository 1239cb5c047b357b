package crl

import (
	"context"
	"fmt"
	"math/big"
	"runtime/debug"
	"time"

	"certportal/ca"
)

// backdate allows for clocks that are behind (as the certificates are).
const backdate = 5 * time.Minute

// leastLease is how long a builder has the turn. When it dies another takes over
// after this time.
const leastLease = 30 * time.Second

// longList is how many entries take so much memory for a moment that it is given back.
const longList = 100_000

// lease is longer where lists take long: two builders must not overtake each other
// for ever.
func (k *updater) lease() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(leastLease, 4*k.took)
}

// publish makes the lists that are wanted, in a turn of its own. Nothing is locked
// while they are built and signed; the error is ErrBusy when another has the turn.
func (k *updater) publish(ctx context.Context, w due) error {
	k.building.Lock()
	defer k.building.Unlock()
	// The key first: a number is not drawn for a list that cannot be signed.
	issuer, err := k.a.Issuer()
	if err != nil {
		return fmt.Errorf("unlocking: %w", err)
	}
	began := time.Now()
	lease := k.lease()
	turn, err := k.p.c.Store.AcquireLease(ctx, k.a.Name, k.p.c.Builder, k.p.c.Now(), lease)
	if err != nil {
		return fmt.Errorf("taking the turn: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, lease)
	defer cancel()
	lists, err := k.inTurn(within, issuer, turn, w)
	k.mu.Lock()
	k.took = time.Since(began)
	switch {
	case err != nil:
		k.failures++
	case len(lists) > 0:
		k.builds++
	}
	k.mu.Unlock()
	if err != nil || len(lists) == 0 {
		k.giveBack(ctx, turn)
		return err
	}
	for _, l := range lists {
		k.advance(l)
		k.p.c.Log.Info("revocation list published", "issuer", k.a.Name, "number", l.Number, "base", l.Base,
			"entries", l.Entries, "next", l.NextUpdate)
	}
	k.mu.Lock()
	k.waiting = false
	k.mu.Unlock()
	if lists[0].Entries > longList {
		debug.FreeOSMemory()
	}
	return nil
}

// giveBack lets another builder begin at once.
func (k *updater) giveBack(ctx context.Context, turn Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := k.p.c.Store.ReleaseLease(ctx, turn); err != nil {
		k.p.c.Log.Warn("giving back the turn, which ends by itself", "issuer", k.a.Name, "err", err)
	}
}

// inTurn looks again, for the one who had the turn before may have made what is
// wanted; then it builds and stores. No lists and no error says that nothing is due.
func (k *updater) inTurn(ctx context.Context, issuer *ca.Issuer, turn Lease, w due) ([]List, error) {
	due, err := k.findDue(ctx)
	if err != nil {
		return nil, err
	}
	if !w.forced {
		w = due
	}
	if !w.any() {
		return nil, nil
	}
	for _, delta := range k.kinds() {
		if l := k.list(delta); l != nil && turn.Through < l.Through {
			return nil, errRewound
		}
	}
	lists, err := k.build(ctx, issuer, turn, w)
	if err != nil {
		return nil, err
	}
	if err := k.p.c.Store.Publish(ctx, turn, lists...); err != nil {
		return nil, fmt.Errorf("publishing: %w", err)
	}
	return lists, nil
}

// build makes the lists of a turn. A complete list comes with a delta list of the same
// number, which say the same together (RFC 5280 section 5.2.4).
func (k *updater) build(ctx context.Context, issuer *ca.Issuer, turn Lease, w due) ([]List, error) {
	var lists []List
	if w.complete {
		l, err := k.sign(ctx, issuer, turn, List{}, k.a.Life, k.a.Renew)
		if err != nil {
			return nil, err
		}
		lists = append(lists, l)
	}
	if k.a.DeltaRenew == 0 {
		return lists, nil
	}
	base, ok, err := k.p.c.Store.Oldest(ctx, k.a.Name, k.p.c.Now())
	if err != nil {
		return nil, fmt.Errorf("looking for the list to add to: %w", err)
	}
	if !ok {
		return lists, nil
	}
	l, err := k.sign(ctx, issuer, turn, base, deltaLives*k.a.DeltaRenew, k.a.DeltaRenew)
	if err != nil {
		return nil, err
	}
	return append(lists, l), nil
}

// sign builds and signs one list: a complete one, or what a base lacks.
func (k *updater) sign(ctx context.Context, issuer *ca.Issuer, turn Lease, base List, life, renew time.Duration) (List, error) {
	now := k.p.c.Now().UTC().Truncate(time.Second)
	// An entry leaves one life after the certificate's end, so that it stood in a list
	// from after it (RFC 5280 section 3.3).
	revoked, err := k.p.c.Store.Revoked(ctx, k.a.Name, base.Through, turn.Through, now.Add(-k.a.Life))
	if err != nil {
		return List{}, fmt.Errorf("collecting revocations: %w", err)
	}
	l := List{
		Issuer: k.a.Name, Number: turn.Number, Base: base.Number, Through: turn.Through,
		ThisUpdate: k.thisUpdate(now), NextUpdate: now.Add(life), Entries: len(revoked),
	}
	// What was revoked a moment ago would be dated after the list itself.
	for i := range revoked {
		if revoked[i].At.After(l.ThisUpdate) {
			revoked[i].At = l.ThisUpdate
		}
	}
	cfg := ca.CRLConfig{
		Number: big.NewInt(l.Number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Revoked: revoked,
		NextPublish: now.Add(min(renew, life/2)),
	}
	if l.Base > 0 {
		cfg.Base = big.NewInt(l.Base)
	} else {
		cfg.Freshest = k.a.Freshest
	}
	if l.DER, err = issuer.CRL(cfg); err != nil {
		return List{}, err
	}
	l.Published = k.p.c.Now().UTC()
	return l, nil
}

// thisUpdate never goes back, not by the second that the clocks of two replicas
// differ in.
func (k *updater) thisUpdate(now time.Time) time.Time {
	at := now.Add(-backdate)
	for _, delta := range k.kinds() {
		if l := k.list(delta); l != nil && l.ThisUpdate.After(at) {
			at = l.ThisUpdate
		}
	}
	return at
}
