package drift

import (
	"context"
	"fmt"
	"math"
	"time"

	"certportal/internal/portal"
)

const (
	// batch is how many holders are read and compared at once.
	batchSize = 200

	// window is how long a change counts as one of those that came at once.
	window = 24 * time.Hour

	// alwaysMay is how many people may change at once however few there are.
	minLimit = 3
)

// Options say what a pass may do.
type Options struct {
	// Apply lets the pass set and remove marks, end certificates and stop or
	// resume the watch. Without it the pass only tells.
	Apply bool

	// AnyShare lets more change than the share, and lets nobody be known, for this
	// pass: what it marks does not count as change at once in later ones. A
	// directory that does not answer stops this pass too.
	AnyShare bool

	// Actor is who asked for the pass, for the ledger. Optional: the portal itself.
	Actor string
}

// Once makes one pass: it reads and compares everybody first and changes nothing
// before all is read. A pass that stops is no error, the report says why. Errors
// are the store's, and the end of the context; what was done before stays done,
// and a later pass does the rest.
func (w *Watch) Once(ctx context.Context, o Options) (Report, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &pass{Watch: w, options: o, now: w.c.Now().UTC().Truncate(time.Millisecond)}
	p.report.Began = p.now
	if err := p.compareAll(ctx); err != nil {
		return p.report, err
	}
	p.report.sort()
	if !o.Apply {
		return p.report, nil
	}
	if p.report.Stopped != "" && !p.allowed() {
		return p.report, p.stop(ctx)
	}
	err := p.apply(ctx)
	return p.report, err
}

// pass is one comparison under way.
type pass struct {
	*Watch
	options        Options
	now            time.Time // when it began
	from           time.Time // changes seen after this moment came at once
	otherDirectory bool      // it is another directory than before
	known          int       // holders that the directory knows
	asked          int
	updates        []update
	report         Report
}

// act is what is to be written about one holder.
type update struct {
	person       portal.PersonID
	certificates []Certificate // with those that are to stand
	mismatches   []PersonMismatch
	revoke       bool // the certificates end
}

// allowed reports whether an administrator lets the pass go on.
func (p *pass) allowed() bool {
	switch p.report.Stopped {
	case TooMany, NobodyKnown, OtherDirectory:
		return p.options.AnyShare
	}
	return false
}

// look reads everybody and decides what is to be done.
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
	case p.known == 0 && p.asked > 1:
		p.report.Stopped = NobodyKnown
	case p.report.Changed > p.report.Limit:
		p.report.Stopped = TooMany
	}
	return nil
}

// measure finds out how many may change. Those whose certificates the watch
// ended count among the holders and among the changed: else each of them would
// make room for the next, or lower the limit for those that came with them.
func (p *pass) computeLimit(ctx context.Context) error {
	state, err := p.c.Store.DriftState(ctx)
	if err != nil {
		return fmt.Errorf("reading state of the watch: %w", err)
	}
	p.otherDirectory = state.Source != "" && state.Source != p.c.Source
	p.from = p.now.Add(-window)
	// From the future it is of a clock that was wrong, and lets nothing pass.
	if state.Allowed.After(p.from) && !state.Allowed.After(p.now) {
		p.from = state.Allowed
	}
	p.report.Holders, err = p.c.Store.CountHolders(ctx, p.now)
	if err != nil {
		return fmt.Errorf("counting holders: %w", err)
	}
	departed, err := p.c.Store.CountLeavers(ctx, p.from, p.now)
	if err != nil {
		return fmt.Errorf("counting departures: %w", err)
	}
	p.report.Changed = departed
	// A billionth less, so that 7 % of 100 is 7 in binary too.
	share := p.c.Share*float64(p.report.Holders+departed) - 1e-9
	p.report.Limit = max(minLimit, int(math.Ceil(share)))
	return nil
}

// enough reports that nothing will come of the pass: reading on would ask the
// directory for each of thousands.
func (p *pass) overLimit() bool {
	p.report.Partial = p.options.Apply && !p.options.AnyShare && p.report.Changed > p.report.Limit
	return p.report.Partial
}

// compare looks at some holders. Its errors are the directory's.
func (p *pass) compare(ctx context.Context, holders []CertificateHolder) error {
	people, err := p.readPeople(ctx, holders)
	if err != nil {
		return err
	}
	p.asked, p.known = p.asked+len(holders), p.known+len(people)
	for _, h := range holders {
		person, known := people[h.Person]
		if accountChange(person, known) != "" {
			was := known
			if person, known, err = p.reread(ctx, h.Person); err != nil {
				return err
			}
			if known && !was {
				p.known++
			}
		}
		p.assess(h, person, accountChange(person, known))
		if p.overLimit() {
			return nil
		}
	}
	return nil
}

// judge notes what is to be done about one holder.
func (p *pass) assess(h CertificateHolder, person portal.Person, account portal.Change) {
	wanted, differ := wantedMismatches(h, person, account, p.now)
	a := update{person: h.Person, certificates: wanted, mismatches: personMismatches(h, wanted, person, p.now, p.c.Grace)}
	fresh := false
	for _, f := range a.mismatches {
		fresh = fresh || f.Since.After(p.from)
		a.revoke = a.revoke || Revokes(f.Change) && !f.Due.After(p.now)
	}
	if fresh {
		p.report.Changed++
	}
	p.report.Mismatches = append(p.report.Mismatches, a.mismatches...)
	if differ || a.revoke {
		p.updates = append(p.updates, a)
	}
}
