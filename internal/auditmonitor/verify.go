package auditmonitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// pageSize is how many entries are held in memory at a time.
const pageSize = 2000

// Certified returns nil when a seal was made by a key that the CA certified for
// sealing and that was in force then, and why not otherwise.
type Certified func(ctx context.Context, s audit.Checkpoint) error

// Options say how to verify.
type Options struct {
	// From is where an earlier look came to; the zero Head begins at the first entry.
	From audit.Head

	// Known are ends that somebody kept elsewhere: each must stand in the chain.
	Known []audit.Head

	// Certified judges seals. Nil: only their hashes are compared, and Report says so.
	Certified Certified
}

// Report is what verifying found.
type Report struct {
	Head           audit.Head       // verified up to here
	Entries        int64            // how many were verified
	Checkpoints    int              // how many of them were sealed
	LastCheckpoint audit.Checkpoint // the newest; zero without one
	Broken         *audit.Break
}

// Verify follows the chain to its end. Broken in the report is the first place
// where it is none; an error says that the ledger could not be read.
//
// Whoever may write to the database can give all entries behind the last seal other
// contents with fitting hashes, and can cut entries off the end together with all
// seals of them. Nothing in the database tells; a head that was kept elsewhere does
// (Known), and so do the copies of the entries that were sent away.
func Verify(ctx context.Context, src Store, o Options) (Report, error) {
	v := verification{src: src, o: o, report: Report{Head: o.From}}
	err := v.run(ctx)
	var broken *audit.Break
	if errors.As(err, &broken) {
		v.report.Broken, err = broken, nil
	}
	return v.report, err
}

// verification is one run of Verify. Its methods return a *ledger.Break for what
// they find.
type verification struct {
	src    Store
	o      Options
	report Report

	checkpoints     []audit.Checkpoint // the next ones, in order
	checkpointsRead int64              // up to which entry their seals were read
	covered         int64              // what the last good seal covers
	known           map[int64]audit.Head
}

func (v *verification) run(ctx context.Context) error {
	// In this order: what a seal or the head speaks of is there when the entries
	// are read, unless somebody took it away.
	newest, err := v.src.LastCheckpoint(ctx)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return err
	}
	v.report.LastCheckpoint, v.covered, v.checkpointsRead = newest, v.o.From.Seq, v.o.From.Seq
	v.known = make(map[int64]audit.Head)
	least := newest.Seq
	for _, known := range v.o.Known {
		v.known[known.Seq] = known
		least = max(least, known.Seq)
	}
	head, err := v.src.Head(ctx)
	if err != nil {
		return err
	}
	if head.Seq < v.o.From.Seq {
		return &audit.Break{Seq: head.Seq + 1, Fault: audit.CutOff}
	}
	if err := v.chain(ctx, max(head.Seq, least)); err != nil {
		return err
	}
	return v.end(ctx, head, least)
}

// end holds the last entry against the recorded end and what must be there.
func (v *verification) end(ctx context.Context, head audit.Head, least int64) error {
	end := v.report.Head
	if end.Seq < max(head.Seq, least) {
		return &audit.Break{Seq: end.Seq + 1, Fault: audit.CutOff}
	}
	if end.Seq == head.Seq && end.Hash != head.Hash {
		return &audit.Break{Seq: end.Seq, Fault: audit.HeadDiffers}
	}
	// An entry and its head are written together, so a head that is read after an
	// entry is not before it.
	later, err := v.src.Entries(ctx, end.Seq, 1)
	if err != nil {
		return err
	}
	if head, err = v.src.Head(ctx); err != nil {
		return err
	}
	if head.Seq < end.Seq || len(later) > 0 && head.Seq < later[0].Seq {
		return &audit.Break{Seq: end.Seq, Fault: audit.HeadDiffers}
	}
	return nil
}

// chain follows the entries to the number given, or to their end.
func (v *verification) chain(ctx context.Context, until int64) error {
	reading, stop := context.WithCancel(ctx)
	pages := v.read(reading, v.o.From.Seq, until)
	defer func() {
		stop()
		for range pages { // until the reading has ended
		}
	}()
	checker := audit.Checker{Head: v.o.From}
	for p := range pages {
		for _, e := range p.entries {
			if broken := checker.Next(e); broken != nil {
				return broken
			}
			v.report.Head = checker.Head
			v.report.Entries++
			if err := v.compare(ctx, checker.Head); err != nil {
				return err
			}
			if e.Seq == until {
				return nil
			}
		}
		if p.err != nil {
			return p.err
		}
	}
	return ctx.Err()
}

// entryPage is a part of the ledger as it was read.
type entryPage struct {
	entries []audit.Entry
	err     error
}

// read reads page after page while the one before is looked at: reading and checking
// cost alike.
func (v *verification) read(ctx context.Context, after, until int64) <-chan entryPage {
	pages := make(chan entryPage)
	go func() {
		defer close(pages)
		for after < until {
			entries, err := v.src.Entries(ctx, after, pageSize)
			if len(entries) == 0 && err == nil {
				return
			}
			select {
			case pages <- entryPage{entries, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			after = entries[len(entries)-1].Seq
		}
	}()
	return pages
}

// compare holds an entry that follows against its seal and against what was kept
// elsewhere.
func (v *verification) compare(ctx context.Context, at audit.Head) error {
	if known, ok := v.known[at.Seq]; ok && known != at {
		return &audit.Break{Seq: v.covered + 1, Until: at.Seq, Fault: audit.KnownDiffers}
	}
	seal, ok, err := v.nextCheckpoint(ctx)
	if err != nil || !ok || seal.Seq > at.Seq {
		return err
	}
	v.checkpoints = v.checkpoints[1:]
	if seal.Head != at {
		return &audit.Break{Seq: v.covered + 1, Until: seal.Seq, Fault: audit.CheckpointDiffers}
	}
	if v.o.Certified != nil {
		if err := v.certified(ctx, seal); err != nil {
			return err
		}
	}
	v.covered = seal.Seq
	v.report.Checkpoints++
	return nil
}

// certified tells a forged seal from one that could not be judged.
func (v *verification) certified(ctx context.Context, seal audit.Checkpoint) error {
	err := v.o.Certified(ctx, seal)
	var broken *audit.Break
	if err == nil || errors.As(err, &broken) {
		return err
	}
	return fmt.Errorf("judging the seal of entry %d: %w", seal.Seq, err)
}

// nextSeal is the first one that was not compared yet; false behind the newest that
// was there at the beginning.
func (v *verification) nextCheckpoint(ctx context.Context) (audit.Checkpoint, bool, error) {
	if len(v.checkpoints) == 0 && v.checkpointsRead < v.report.LastCheckpoint.Seq {
		var err error
		if v.checkpoints, err = v.src.Checkpoints(ctx, v.checkpointsRead, pageSize); err != nil {
			return audit.Checkpoint{}, false, err
		}
		// Without any, somebody took them away since: nothing is left to compare.
		v.checkpointsRead = v.report.LastCheckpoint.Seq
		if n := len(v.checkpoints); n > 0 {
			v.checkpointsRead = v.checkpoints[n-1].Seq
		}
	}
	if len(v.checkpoints) == 0 {
		return audit.Checkpoint{}, false, nil
	}
	return v.checkpoints[0], true, nil
}

// check goes on from what was verified before, or begins anew when full.
func check(ctx context.Context, src Store, last audit.Verification, full bool, certified Certified, now time.Time) (audit.Verification, error) {
	o := Options{From: last.Head, Certified: certified}
	if full {
		o.From = audit.Head{}
	}
	report, err := Verify(ctx, src, o)
	if err != nil {
		return last, err
	}
	next := audit.Verification{Head: report.Head, At: now, FullAt: last.FullAt, Broken: report.Broken, Since: last.Since}
	if full {
		next.FullAt = now
	}
	switch {
	case next.Broken == nil:
		next.Since = time.Time{}
	case last.Broken == nil:
		next.Since = now
	}
	return next, nil
}
