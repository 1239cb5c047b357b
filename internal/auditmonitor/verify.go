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

// Certified returns nil when a checkpoint was signed by a key that the CA certified for
// it and that was valid then; otherwise an error.
type Certified func(ctx context.Context, s audit.Checkpoint) error

// Options control [Verify].
type Options struct {
	// From is the head that an earlier verification reached; the zero Head starts at
	// the first entry.
	From audit.Head

	// Known are heads that were kept elsewhere: each must be in the chain.
	Known []audit.Head

	// Certified checks the keys of checkpoints. With nil only their hashes are
	// compared.
	Certified Certified
}

// Report is the result of [Verify].
type Report struct {
	Head           audit.Head       // verified up to here
	Entries        int64            // verified entries
	Checkpoints    int              // verified checkpoints
	LastCheckpoint audit.Checkpoint // the newest; zero without one
	Broken         *audit.Break
}

// Verify verifies the chain to its end. Report.Broken is the first break; an error says
// that the log could not be read.
//
// An attacker with write access to the database can rewrite all entries after the last
// checkpoint with valid hashes, and can remove entries from the end together with their
// checkpoints. The database cannot show this; a head that was kept elsewhere (Known)
// does, and so do the forwarded entries.
func Verify(ctx context.Context, src Store, o Options) (Report, error) {
	v := verification{src: src, o: o, report: Report{Head: o.From}}
	err := v.run(ctx)
	var broken *audit.Break
	if errors.As(err, &broken) {
		v.report.Broken, err = broken, nil
	}
	return v.report, err
}

// verification is one run of Verify. Its methods return an *audit.Break for a break.
type verification struct {
	src    Store
	o      Options
	report Report

	checkpoints     []audit.Checkpoint // the next ones, in order
	checkpointsRead int64              // entry up to which checkpoints were read
	covered         int64              // entry of the last valid checkpoint
	known           map[int64]audit.Head
}

func (v *verification) run(ctx context.Context) error {
	// Checkpoints and head are read first: the entries they refer to must exist when
	// entries are read.
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

// end compares the last entry with the recorded head and with what must exist.
func (v *verification) end(ctx context.Context, head audit.Head, least int64) error {
	end := v.report.Head
	if end.Seq < max(head.Seq, least) {
		return &audit.Break{Seq: end.Seq + 1, Fault: audit.CutOff}
	}
	if end.Seq == head.Seq && end.Hash != head.Hash {
		return &audit.Break{Seq: end.Seq, Fault: audit.HeadDiffers}
	}
	// An entry and its head are written in one transaction, so a head that is read
	// after an entry cannot precede it.
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

// chain verifies entries up to a sequence number, or to their end.
func (v *verification) chain(ctx context.Context, until int64) error {
	reading, stop := context.WithCancel(ctx)
	pages := v.read(reading, v.o.From.Seq, until)
	defer func() {
		stop()
		for range pages { // until reading has ended
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

// entryPage is a page of entries.
type entryPage struct {
	entries []audit.Entry
	err     error
}

// read reads pages ahead: reading and verifying take about the same time.
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

// compare compares a verified entry with its checkpoint and with Known.
func (v *verification) compare(ctx context.Context, at audit.Head) error {
	if known, ok := v.known[at.Seq]; ok && known != at {
		return &audit.Break{Seq: v.covered + 1, Until: at.Seq, Fault: audit.KnownDiffers}
	}
	cp, ok, err := v.nextCheckpoint(ctx)
	if err != nil || !ok || cp.Seq > at.Seq {
		return err
	}
	v.checkpoints = v.checkpoints[1:]
	if cp.Head != at {
		return &audit.Break{Seq: v.covered + 1, Until: cp.Seq, Fault: audit.CheckpointDiffers}
	}
	if v.o.Certified != nil {
		if err := v.certified(ctx, cp); err != nil {
			return err
		}
	}
	v.covered = cp.Seq
	v.report.Checkpoints++
	return nil
}

// certified separates forged checkpoints from errors of the check.
func (v *verification) certified(ctx context.Context, cp audit.Checkpoint) error {
	err := v.o.Certified(ctx, cp)
	var broken *audit.Break
	if err == nil || errors.As(err, &broken) {
		return err
	}
	return fmt.Errorf("checking checkpoint of entry %d: %w", cp.Seq, err)
}

// nextCheckpoint returns the first checkpoint not compared yet; false after the newest
// that existed at the start.
func (v *verification) nextCheckpoint(ctx context.Context) (audit.Checkpoint, bool, error) {
	if len(v.checkpoints) == 0 && v.checkpointsRead < v.report.LastCheckpoint.Seq {
		var err error
		if v.checkpoints, err = v.src.Checkpoints(ctx, v.checkpointsRead, pageSize); err != nil {
			return audit.Checkpoint{}, false, err
		}
		// Without any, they were removed since, and nothing is left to compare.
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

// verifyFrom continues the last verification, or starts again when full.
func verifyFrom(ctx context.Context, src Store, last audit.Verification, full bool, certified Certified, now time.Time) (audit.Verification, error) {
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
