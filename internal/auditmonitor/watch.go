package auditmonitor

import (
	"context"
	"errors"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

const (
	// watcher is the name under which one replica verifies and seals.
	verifyCursor = "verify"

	// firstLook lets a portal start in peace.
	firstVerification = 5 * time.Second

	// lastSealWithin bounds sealing when the portal ends.
	shutdownTimeout = 5 * time.Second
)

// watch verifies and seals until the context ends, and seals what is new then.
func (k *Monitor) watch(ctx context.Context) {
	for wait := min(firstVerification, k.c.CheckpointEvery); waited(ctx, wait); wait = min(checkEvery, k.c.CheckpointEvery) {
		if err := k.verifyNew(ctx, false); err != nil && ctx.Err() == nil {
			k.c.Log.Error("verifying and sealing the ledger", "err", err)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := k.verifyNew(last, true); err != nil {
		k.c.Log.Error("sealing the ledger at the end", "err", err)
	}
	if err := k.c.Store.ReleaseCursor(last, verifyCursor, k.holder); err != nil {
		k.c.Log.Warn("handing over the watch of the ledger", "err", err)
	}
}

// look verifies what is new, and seals it when it is time. At the end of the
// program it is time whenever there is something.
func (k *Monitor) verifyNew(ctx context.Context, ending bool) error {
	now := k.c.Now()
	last, idle, err := k.nothingToDo(ctx, now)
	if err != nil || idle {
		return err
	}
	// What a seal tells of a rewritten stretch does not show behind it: only a look
	// at the whole chain ends a break.
	if last.Broken != nil && (ending || !fullIsDue(last, now)) {
		return nil
	}
	_, held, err := k.c.Store.HoldCursor(ctx, verifyCursor, k.holder, now, now.Add(leaseFor))
	if err != nil || !held {
		return err
	}
	next, err := check(ctx, k.c.Store, last, !ending && fullIsDue(last, now), k.c.Certified, now)
	if err != nil {
		return err
	}
	if err := k.c.Store.SaveVerification(ctx, next, k.breakEntries(last, next)...); err != nil {
		return err
	}
	if next.Broken != nil {
		return nil
	}
	return k.checkpoint(ctx, next.Head, now, ending)
}

// nothingToDo reports whether everything is verified and sealed: a portal that
// nobody uses writes nothing.
func (k *Monitor) nothingToDo(ctx context.Context, now time.Time) (last audit.Verification, idle bool, err error) {
	if last, err = k.c.Store.LastVerification(ctx); err != nil {
		return last, false, err
	}
	head, err := k.c.Store.Head(ctx)
	if err != nil || head != last.Head || last.Broken != nil || fullIsDue(last, now) {
		return last, false, err
	}
	if k.c.Key == nil {
		return last, true, nil
	}
	seal, err := k.c.Store.LastCheckpoint(ctx)
	if errors.Is(err, portal.ErrNotFound) {
		return last, false, nil
	}
	return last, seal.Seq == head.Seq, err
}

// fullIsDue reports whether the chain is to be verified from its beginning.
func fullIsDue(last audit.Verification, now time.Time) bool {
	every := fullEvery
	if last.Broken != nil {
		every = fullWhileBroken
	}
	return now.Sub(last.FullAt) >= every || now.Before(last.FullAt)
}

// told logs a break that is new and gives its entry: with the entry it reaches
// whoever reads the ledger elsewhere.
func (k *Monitor) breakEntries(last, next audit.Verification) []audit.Entry {
	switch {
	case next.Broken != nil && last.Broken == nil:
		k.c.Log.Error("THE LEDGER IS BROKEN: nothing is sealed any more", "err", next.Broken, "entry", next.Broken.Seq)
		return []audit.Entry{{At: next.At, Action: audit.LogBroken, Actor: "system", Role: "system",
			Detail: map[string]string{"fault": string(next.Broken.Fault), "why": next.Broken.Error()}}}
	case next.Broken == nil && last.Broken != nil:
		k.c.Log.Warn("the ledger verifies again", "up to", next.Seq)
	}
	return nil
}

// seal signs the end of what was verified, when it moved since the last seal.
func (k *Monitor) checkpoint(ctx context.Context, head audit.Head, now time.Time, ending bool) error {
	if k.c.Key == nil || head.Seq == 0 {
		return nil
	}
	last, err := k.c.Store.LastCheckpoint(ctx)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return err
	}
	early := now.Sub(last.At) < k.c.CheckpointEvery && !now.Before(last.At)
	if last.Seq >= head.Seq || early && !ending {
		return nil
	}
	key, serial, err := k.c.Key(ctx)
	if err != nil {
		return err
	}
	seal, err := audit.Checkpoint{Head: head, At: k.c.Now(), Node: k.c.Node, Key: serial}.Sign(key)
	if err != nil {
		return err
	}
	if err := k.c.Store.AddCheckpoint(ctx, seal); err != nil {
		return err
	}
	// The log is often kept elsewhere, and so is then the head.
	k.c.Log.Info("ledger sealed", "head", head.String())
	return nil
}
