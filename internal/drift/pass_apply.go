package drift

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// logStopEvery is how often the log repeats that the watch is stopped.
const logStopEvery = time.Hour

// system is the actor of passes that run by themselves.
const system = "system"

// entry returns an audit entry of the pass, with the time of the act and not of the
// start of the pass.
func (p *pass) entry(action audit.Action, detail map[string]string) audit.Entry {
	e := audit.Entry{At: p.c.Now(), Action: action, Actor: p.options.Actor, Role: p.options.Actor, Detail: detail}
	if e.Actor == "" {
		e.Actor, e.Role = system, system
	}
	return e
}

// counts returns the numbers behind a stop.
func (p *pass) counts() map[string]string {
	changed := strconv.Itoa(p.report.Changed)
	if p.report.Partial {
		changed = "at least " + changed
	}
	return map[string]string{
		"reason": string(p.report.Stopped), "holders": strconv.Itoa(p.report.Holders),
		"changed": changed, "limit": strconv.Itoa(p.report.Limit),
	}
}

// stop records the reason once, and logs it now and every hour.
func (p *pass) stop(ctx context.Context) error {
	detail := p.counts()
	entry := p.entry(audit.WatchStopped, detail)
	first, err := p.records.StopDrift(ctx, p.report.Stopped, entry.At, entry)
	if err != nil {
		return fmt.Errorf("recording the stop (%s): %w", p.report.Stopped, errors.Join(err, p.report.Err))
	}
	quiet := entry.At.Sub(p.logged)
	if !first && !p.logged.IsZero() && quiet >= 0 && quiet < logStopEvery {
		return nil
	}
	p.logged = entry.At
	facts := []any{"reason", p.report.Stopped, "holders", detail["holders"], "changed", detail["changed"], "limit", detail["limit"]}
	if p.report.Err != nil {
		facts = append(facts, "err", p.report.Err)
	}
	p.c.Log.Error("drift watch stopped: no mismatch is recorded and no certificate revoked until this is resolved", facts...)
	return nil
}

// apply writes the updates. Each person is a transaction of its own, so that none
// blocks others for long.
func (p *pass) apply(ctx context.Context) error {
	defer func() {
		if p.report.Revoked > 0 {
			p.c.Revoked()
		}
	}()
	if err := p.clearStop(ctx); err != nil {
		return err
	}
	for _, a := range p.updates {
		if err := p.write(ctx, a); err != nil {
			return err
		}
	}
	if err := p.records.RecordDriftPass(ctx, p.now, p.c.Source); err != nil {
		return fmt.Errorf("recording the pass: %w", err)
	}
	return nil
}

// write writes one update.
func (p *pass) write(ctx context.Context, a update) error {
	for _, f := range a.reused {
		if err := p.revokeReused(ctx, a, f); err != nil {
			return err
		}
	}
	switch {
	case a.revoke != "":
		return p.revokeLeaver(ctx, a)
	case a.differ:
		return p.writeMismatches(ctx, a)
	}
	return nil
}

// clearStop ends a stop, because the directory recovered or because an administrator
// allowed it.
func (p *pass) clearStop(ctx context.Context) error {
	if p.report.Stopped == "" {
		resumed, err := p.records.ResumeDrift(ctx, p.entry(audit.WatchResumed, nil))
		if err != nil {
			return fmt.Errorf("resuming the watch: %w", err)
		}
		if resumed {
			p.c.Log.Info("drift watch works again")
		}
		return nil
	}
	detail := p.counts()
	detail["share"] = "any"
	// Mismatches of this pass begin at its start, and so do not count later.
	if err := p.records.AllowDrift(ctx, p.now, p.entry(audit.WatchResumed, detail)); err != nil {
		return fmt.Errorf("allowing more changes than the share: %w", err)
	}
	p.c.Log.Warn("drift watch exceeds the share, allowed by an administrator",
		"reason", p.report.Stopped, "changed", p.report.Changed, "limit", p.report.Limit)
	p.report.Stopped = ""
	return nil
}

func (p *pass) writeMismatches(ctx context.Context, a update) error {
	set, removed, err := p.records.UpdateMismatches(ctx, MismatchUpdate{
		Person: a.person, Certificates: a.certificates, At: p.now, Entry: p.entry("", p.details(a)),
	})
	if err != nil {
		return fmt.Errorf("updating mismatches of %s: %w", a.person, err)
	}
	p.report.Added, p.report.Removed = p.report.Added+set, p.report.Removed+removed
	if set > 0 {
		for _, f := range a.mismatches {
			p.c.Log.Warn("certificates differ from the directory", f.logAttrs()...)
		}
	}
	if removed > 0 {
		p.c.Log.Info("certificates match the directory again", "person", a.person, "mismatches", removed)
	}
	return nil
}

func (p *pass) revokeLeaver(ctx context.Context, a update) error {
	at := p.c.Now()
	ended, err := p.records.RevokeLeaver(ctx, Leaver{
		Person: a.person, Cause: a.revoke, At: at, Due: p.now.Add(-p.c.Grace), Entry: p.entry("", p.details(a)),
	})
	if err != nil {
		return fmt.Errorf("revoking certificates of %s: %w", a.person, err)
	}
	p.report.Revoked += len(ended)
	if len(ended) > 0 {
		p.c.Log.Warn("certificates revoked: account ended or became protected",
			append(a.mismatches[0].logAttrs(), slog.Int("revoked", len(ended)))...)
	}
	return nil
}

func (p *pass) revokeReused(ctx context.Context, a update, f PersonMismatch) error {
	ended, err := p.records.RevokeReused(ctx, Reuse{
		Person: a.person, UPN: f.UPN, Owner: portal.PersonID(f.Now), At: p.c.Now(), Entry: p.entry("", p.details(a)),
	})
	if err != nil {
		return fmt.Errorf("revoking certificates of %s with UPN %s: %w", a.person, f.UPN, err)
	}
	p.report.Revoked += len(ended)
	if len(ended) > 0 {
		p.c.Log.Warn("certificates revoked: their UPN belongs to another account now", append(f.logAttrs(), slog.Int("revoked", len(ended)))...)
	}
	return nil
}

// details returns further details of the audit entries: what the directory says now,
// and whether the share was overridden.
func (p *pass) details(a update) map[string]string {
	detail := map[string]string{}
	for _, f := range a.mismatches {
		if AccountEnded(f.Change) {
			detail["account"] = string(f.Change)
		}
		if f.Now != "" {
			detail["now-"+string(f.Change)] = f.Now
		}
		if f.Change == portal.BecameProtected && f.Due.IsZero() {
			detail["keeps"] = string(ProtectedAlarm)
		}
	}
	if p.options.AnyShare {
		detail["share"] = "any"
	}
	return detail
}

// logAttrs returns the mismatch as log attributes.
func (f PersonMismatch) logAttrs() []any {
	facts := []any{"person", f.Person, "change", f.Change, "upn", f.UPN, "certificates", len(f.Serials)}
	if f.Login != "" {
		facts = append(facts, "login", f.Login)
	}
	if f.Now != "" || f.Change == portal.UPNChanged || f.Change == portal.SIDChanged {
		facts = append(facts, "now", f.Now)
	}
	if !f.Due.IsZero() {
		facts = append(facts, "due", f.Due)
	}
	return facts
}
