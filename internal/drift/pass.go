package drift

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"certportal/internal/portal"
)

const (
	// batchSize is how many holders are read and compared at once.
	batchSize = 200

	// window is the time in which changes count as simultaneous.
	window = 24 * time.Hour

	// minLimit is how many people may change at once in any installation.
	minLimit = 3
)

// Options control one pass.
type Options struct {
	// Apply makes the pass record mismatches, revoke certificates and stop or resume
	// the watch. Without it the pass only reports.
	Apply bool

	// AnyShare allows this pass to exceed the share, and to find none of the people.
	// Its changes do not count in later passes. A directory that does not answer still
	// stops the pass.
	AnyShare bool

	// Actor asked for the pass, for the audit log. Default: the portal itself.
	Actor string
}

// Once runs one pass. It compares all holders before it changes anything. A pass that
// stops is no error; the report has the reason. Errors are those of the store and the
// context; changes made before an error remain, and a later pass does the rest. With Apply
// it takes the lease from a watch that runs, which goes on afterwards.
func (w *Watch) Once(ctx context.Context, o Options) (Report, error) {
	if !o.Apply {
		return w.pass(ctx, o, Lease{})
	}
	held, t, err := w.acquire(ctx, true)
	if err != nil {
		return Report{}, fmt.Errorf("taking the lease of the drift watch: %w", err)
	}
	defer t.end(ctx)
	return w.pass(held, o, t.lease)
}

// pass runs one pass, which writes under the lease.
func (w *Watch) pass(ctx context.Context, o Options, l Lease) (Report, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &pass{Watch: w, options: o, now: w.c.Now().UTC().Truncate(time.Millisecond)}
	p.report.Began = p.now
	if err := p.compareAll(ctx); err != nil {
		return p.report, lostBy(ctx, err)
	}
	p.report.sort()
	if !o.Apply {
		return p.report, nil
	}
	p.records = w.c.Store.DriftWriter(l)
	if p.report.Stopped != "" && !p.allowed() {
		return p.report, lostBy(ctx, p.stop(ctx))
	}
	return p.report, lostBy(ctx, p.apply(ctx))
}

// pass is one running comparison.
type pass struct {
	*Watch
	records        Writer // of a pass that applies
	options        Options
	now            time.Time // start of the pass
	from           time.Time // changes first seen after this time count as simultaneous
	otherDirectory bool      // the directory is not that of the last pass
	known          int       // holders the directory knows
	asked          int
	unread         error // one of the errors about accounts that cannot be read
	updates        []update
	report         Report

	protectedRead bool
	protected     map[portal.PersonID]bool // who may be protected by their groups
}

// update is what has to be written about one holder.
type update struct {
	person       portal.PersonID
	certificates []Certificate // with the wanted mismatches
	mismatches   []PersonMismatch
	differ       bool         // from the stored mismatches
	revoke       portal.Cause // the grace period is over: Left or Privileged; empty before
	reused       []PersonMismatch
}

// allowed reports whether an administrator overrides the reason to stop.
func (p *pass) allowed() bool {
	switch p.report.Stopped {
	case TooMany, NobodyKnown, OtherDirectory:
		return p.options.AnyShare
	}
	return false
}

// compareAll reads all holders and decides what to change.
func (p *pass) compareAll(ctx context.Context) error {
	if err := p.computeLimit(ctx); err != nil {
		return err
	}
	after := portal.PersonID("")
	for !p.overLimit() {
		holders, err := p.c.Store.Holders(ctx, p.now, after, batchSize)
		if err != nil {
			return fmt.Errorf("listing holders: %w", err)
		}
		if len(holders) == 0 {
			break
		}
		if err := p.compare(ctx, holders); err != nil {
			return p.stopFor(ctx, err)
		}
		after = holders[len(holders)-1].Person
	}
	switch {
	case p.otherDirectory:
		p.report.Stopped = OtherDirectory
	case p.known == 0 && p.report.Unread > 1:
		p.report.Stopped, p.report.Err = NoAnswer, p.unread
	case p.known == 0 && p.report.Unread == 0 && p.asked > 1:
		p.report.Stopped = NobodyKnown
	case p.report.Changed > p.report.Limit:
		p.report.Stopped = TooMany
	}
	return nil
}

// computeLimit computes how many people may change. Leavers whose certificates are
// revoked already count among both holders and changed people: otherwise each of them
// would make room for another or lower the limit for the rest.
func (p *pass) computeLimit(ctx context.Context) error {
	state, err := p.c.Store.DriftState(ctx)
	if err != nil {
		return fmt.Errorf("reading state of the watch: %w", err)
	}
	p.otherDirectory = state.Source != "" && state.Source != p.c.Source
	p.from = p.now.Add(-window)
	// A time in the future, from a clock that was wrong, allows nothing.
	if state.Allowed.After(p.from) && !state.Allowed.After(p.now) {
		p.from = state.Allowed
	}
	p.report.Holders, err = p.c.Store.CountHolders(ctx, p.now)
	if err != nil {
		return fmt.Errorf("counting holders: %w", err)
	}
	leavers, err := p.c.Store.CountLeavers(ctx, p.from, p.now)
	if err != nil {
		return fmt.Errorf("counting leavers: %w", err)
	}
	p.report.Changed = leavers
	// Minus a billionth, so that rounding errors do not add one: 7 % of 100 is 7.
	share := p.c.Share*float64(p.report.Holders+leavers) - 1e-9
	p.report.Limit = max(minLimit, int(math.Ceil(share)))
	return nil
}

// overLimit reports whether the pass can only stop. Going on would read thousands of
// people for nothing.
func (p *pass) overLimit() bool {
	p.report.Partial = p.options.Apply && !p.options.AnyShare && p.report.Changed > p.report.Limit
	return p.report.Partial
}

// compare compares some holders. Its errors are the directory's.
func (p *pass) compare(ctx context.Context, holders []CertificateHolder) error {
	people, err := p.readPeople(ctx, holders)
	if err != nil {
		return err
	}
	p.asked += len(holders)
	p.readProtected(ctx)
	owners := p.readOwners(ctx, holders, people)
	for _, h := range holders {
		a := people[h.Person]
		if p.needsReread(h, a, owners) {
			if a, err = p.reread(ctx, h.Person); err != nil {
				return err
			}
		}
		switch {
		case a.unread != nil:
			p.report.Unread++
			p.unread = a.unread
		case a.known:
			p.known++
		}
		p.assess(h, a, owners)
		if p.overLimit() {
			return nil
		}
	}
	return nil
}

// needsReread reports whether the first answer may lead to a revocation.
func (p *pass) needsReread(h CertificateHolder, a answer, owners map[string][]portal.PersonID) bool {
	return a.unread == nil && (AccountEnded(a.change()) || p.mayBeProtected(h, a.person) || len(reusedBy(h, a, owners)) > 0)
}

// assess records what to change about one holder.
func (p *pass) assess(h CertificateHolder, of answer, owners map[string][]portal.PersonID) {
	of.person.Protected = of.person.Protected && p.c.Protected != ProtectedIgnore
	reused := p.splitReused(&h, of, owners)
	wanted, differ := wantedMismatches(h, of.person, of.change(), p.now)
	a := update{
		person: h.Person, certificates: wanted, differ: differ, reused: reused,
		mismatches: personMismatches(h, wanted, of, p.now, p.c.Grace),
	}
	fresh := len(reused) > 0
	for i := range a.mismatches {
		f := &a.mismatches[i]
		// A right to read that is missing says nothing about what changed.
		fresh = fresh || f.Change != portal.AccountUnread && f.Since.After(p.from)
		if f.Change == portal.BecameProtected && p.c.Protected == ProtectedAlarm {
			f.Due = time.Time{}
		}
		switch due := !f.Due.IsZero() && !f.Due.After(p.now); {
		case due && AccountEnded(f.Change):
			a.revoke = portal.Left
		case due && a.revoke == "":
			a.revoke = portal.Privileged
		}
	}
	if fresh {
		p.report.Changed++
	}
	p.report.Mismatches = append(p.report.Mismatches, slices.Concat(reused, a.mismatches)...)
	if differ || a.revoke != "" || len(reused) > 0 {
		p.updates = append(p.updates, a)
	}
}
