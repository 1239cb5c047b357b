package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

// Tally is what the overview counts.
type Tally struct {
	Working int // certificates that open doors
	Issued  int // asked for within TallyIssued
	Ending  int // that end within TallyEnding
	Revoked int // within TallyRevoked
	Failed  int // refused enrolments within TallyFailed
	At      time.Time
}

// The spans of the numbers.
const (
	TallyIssued  = 7 * 24 * time.Hour
	TallyEnding  = DefaultDays * 24 * time.Hour
	TallyRevoked = 30 * 24 * time.Hour
	TallyFailed  = 24 * time.Hour
)

// tallyLife is how old the numbers may be: counting a million certificates takes
// longer than a page may.
const tallyLife = time.Minute

type tallyKeeper struct {
	mu     sync.Mutex
	last   Tally
	wanted bool // somebody asked since it was counted
}

// Overview is what an administrator sees first.
type Overview struct {
	Tally    Tally
	Halt     Halt
	Concerns []Concern // the grave ones first
}

// Overview gives the numbers, at most a minute old while somebody looks at them.
func (s *Service) Overview(ctx context.Context, by portal.Actor) (Overview, error) {
	if _, err := s.may(ctx, by, authz.Request{Act: authz.ReadOverview}); err != nil {
		return Overview{}, err
	}
	var o Overview
	var err error
	if o.Tally, err = s.count(ctx); err != nil {
		return o, err
	}
	if o.Halt, err = s.Halted(ctx); err != nil {
		return o, err
	}
	o.Concerns, err = s.concerns(ctx, o.Halt)
	return o, err
}

// concerns lists what needs attention.
func (s *Service) concerns(ctx context.Context, h Halt) ([]Concern, error) {
	var list []Concern
	if h.On() {
		list = append(list, Concern{Key: "halted", Grave: true, At: h.Since, Value: h.Reason, Path: "/admin/halt"})
	}
	open, err := s.c.Records.OrdersSince(ctx, true, PageSize)
	if err != nil {
		return nil, storeErr("listing orders", err)
	}
	waiting := 0
	for _, order := range open {
		if order.State == Waiting {
			waiting++
		}
	}
	if waiting > 0 {
		list = append(list, Concern{Key: "orders", Number: waiting, Path: "/admin/orders"})
	}
	if s.c.Concerns != nil {
		list = append(list, s.c.Concerns(ctx)...)
	}
	slices.SortStableFunc(list, func(a, b Concern) int {
		switch {
		case a.Grave == b.Grave:
			return 0
		case a.Grave:
			return -1
		}
		return 1
	})
	return list, nil
}

// count gives the numbers of a moment ago, and counts itself only when there are
// none yet.
func (s *Service) count(ctx context.Context) (Tally, error) {
	k := &s.tally
	k.mu.Lock()
	k.wanted = true
	last := k.last
	k.mu.Unlock()
	if !last.At.IsZero() {
		return last, nil
	}
	return s.recount(ctx)
}

func (s *Service) recount(ctx context.Context) (Tally, error) {
	t, err := s.c.Records.Tally(ctx, s.c.Now())
	if err != nil {
		return Tally{}, storeErr("counting", err)
	}
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	s.tally.last, s.tally.wanted = t, false
	return t, nil
}

// refreshTally counts at the start, and again when somebody looked at old numbers.
func (s *Service) refreshTally(ctx context.Context) {
	s.tally.mu.Lock()
	due := (s.tally.wanted || s.tally.last.At.IsZero()) && s.c.Now().Sub(s.tally.last.At) >= tallyLife
	s.tally.mu.Unlock()
	if !due {
		return
	}
	if _, err := s.recount(ctx); err != nil && ctx.Err() == nil {
		s.c.Log.Error("counting for the overview", "err", err)
	}
}
