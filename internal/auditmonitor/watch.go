package auditmonitor

import (
	"context"
	"errors"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

const (
	// verifyCursor is the cursor whose holder verifies and signs.
	verifyCursor = "verify"

	// firstVerification delays the first verification after the start.
	firstVerification = 5 * time.Second

	// shutdownTimeout bounds the work at the end of the program.
	shutdownTimeout = 5 * time.Second
)

// watch verifies and signs until the context ends, and then signs what is new.
func (m *Monitor) watch(ctx context.Context) {
	for wait := min(firstVerification, m.c.CheckpointEvery); waited(ctx, wait); wait = min(verifyEvery, m.c.CheckpointEvery) {
		if err := m.verifyNew(ctx, false); err != nil && ctx.Err() == nil {
			m.c.Log.Error("verifying and signing the audit log", "err", err)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := m.verifyNew(last, true); err != nil {
		m.c.Log.Error("signing the audit log at shutdown", "err", err)
	}
	if err := m.c.Store.ReleaseCursor(last, verifyCursor, m.holder); err != nil {
		m.c.Log.Warn("releasing the verification cursor", "err", err)
	}
}

// verifyNew verifies new entries and makes a checkpoint when one is due. At the end of
// the program one is due whenever there are new entries.
func (m *Monitor) verifyNew(ctx context.Context, ending bool) error {
	now := m.c.Now()
	last, idle, err := m.nothingToDo(ctx, now)
	if err != nil || idle {
		return err
	}
	// A rewritten range shows only at its checkpoint: only verifying the whole chain
	// can end a break.
	if last.Broken != nil && (ending || !fullIsDue(last, now)) {
		return nil
	}
	_, held, err := m.c.Store.HoldCursor(ctx, verifyCursor, m.holder, now, now.Add(leaseFor))
	if err != nil || !held {
		return err
	}
	next, err := verifyFrom(ctx, m.c.Store, last, !ending && fullIsDue(last, now), m.c.Certified, now)
	if err != nil {
		return err
	}
	if err := m.c.Store.SaveVerification(ctx, next, m.breakEntries(last, next)...); err != nil {
		return err
	}
	if next.Broken != nil {
		return nil
	}
	return m.checkpoint(ctx, next.Head, now, ending)
}

// nothingToDo reports whether everything is verified and signed, so that an idle portal
// writes nothing.
func (m *Monitor) nothingToDo(ctx context.Context, now time.Time) (last audit.Verification, idle bool, err error) {
	if last, err = m.c.Store.LastVerification(ctx); err != nil {
		return last, false, err
	}
	head, err := m.c.Store.Head(ctx)
	if err != nil || head != last.Head || last.Broken != nil || fullIsDue(last, now) {
		return last, false, err
	}
	if m.c.Key == nil {
		return last, true, nil
	}
	cp, err := m.c.Store.LastCheckpoint(ctx)
	if errors.Is(err, portal.ErrNotFound) {
		return last, false, nil
	}
	return last, cp.Seq == head.Seq, err
}

// fullIsDue reports whether the whole chain has to be verified.
func fullIsDue(last audit.Verification, now time.Time) bool {
	every := fullEvery
	if last.Broken != nil {
		every = fullWhileBroken
	}
	return now.Sub(last.FullAt) >= every || now.Before(last.FullAt)
}

// breakEntries logs a new break and returns its audit entry, which is forwarded like
// others.
func (m *Monitor) breakEntries(last, next audit.Verification) []audit.Entry {
	switch {
	case next.Broken != nil && last.Broken == nil:
		m.c.Log.Error("THE AUDIT LOG IS BROKEN: no more checkpoints are made", "err", next.Broken, "entry", next.Broken.Seq)
		return []audit.Entry{{At: next.At, Action: audit.LogBroken, Actor: "system", Role: "system",
			Detail: map[string]string{"fault": string(next.Broken.Fault), "why": next.Broken.Error()}}}
	case next.Broken == nil && last.Broken != nil:
		m.c.Log.Warn("the audit log verifies again", "up to", next.Seq)
	}
	return nil
}

// checkpoint signs the verified head if it moved since the last checkpoint.
func (m *Monitor) checkpoint(ctx context.Context, head audit.Head, now time.Time, ending bool) error {
	if m.c.Key == nil || head.Seq == 0 {
		return nil
	}
	last, err := m.c.Store.LastCheckpoint(ctx)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return err
	}
	early := now.Sub(last.At) < m.c.CheckpointEvery && !now.Before(last.At)
	if last.Seq >= head.Seq || early && !ending {
		return nil
	}
	key, serial, err := m.c.Key(ctx)
	if err != nil {
		return err
	}
	cp, err := audit.Checkpoint{Head: head, At: m.c.Now(), Node: m.c.Node, Key: serial}.Sign(key)
	if err != nil {
		return err
	}
	if err := m.c.Store.AddCheckpoint(ctx, cp); err != nil {
		return err
	}
	// Logs are often kept elsewhere, and with them the head.
	m.c.Log.Info("audit log checkpoint", "head", head.String())
	return nil
}
