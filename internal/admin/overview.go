package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

// Stats are the numbers of the overview.
type Stats struct {
	Working int // valid certificates
	Issued  int // requested within StatsIssued
	Ending  int // expiring within StatsEnding
	Revoked int // within StatsRevoked
	Failed  int // refused enrolments within StatsFailed
	At      time.Time
}

// The time spans of the numbers.
const (
	StatsIssued  = 7 * 24 * time.Hour
	StatsEnding  = DefaultDays * 24 * time.Hour
	StatsRevoked = 30 * 24 * time.Hour
	StatsFailed  = 24 * time.Hour
)

// statsLife is the age at which the statistics are counted again. Counting a million
// certificates takes longer than a page may.
const statsLife = time.Minute

type statsCache struct {
	mu     sync.Mutex
	last   Stats
	wanted bool // requested since the last count
}

// Overview is the content of the start page of administrators.
type Overview struct {
	Stats  Stats
	Halt   Halt
	Alerts []Alert // critical ones first
}

// Overview returns statistics and alerts. The statistics are at most a minute old while
// the page is in use.
func (s *Service) Overview(ctx context.Context, by portal.Actor) (Overview, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadOverview}); err != nil {
		return Overview{}, err
	}
	var o Overview
	var err error
	if o.Stats, err = s.stats(ctx); err != nil {
		return o, err
	}
	if o.Halt, err = s.Halted(ctx); err != nil {
		return o, err
	}
	o.Alerts, err = s.alerts(ctx, o.Halt)
	return o, err
}

// alerts lists what needs attention.
func (s *Service) alerts(ctx context.Context, h Halt) ([]Alert, error) {
	var list []Alert
	if h.On() && h.Reason != RestoredCopy { // that has an alert of its own, with what to check
		list = append(list, Alert{Key: "halted", Critical: true, At: h.Since, Value: h.Reason, Path: "/admin/halt"})
	}
	open, err := s.c.Store.Bulks(ctx, true, PageSize)
	if err != nil {
		return nil, storeErr("listing bulk revocations", err)
	}
	waiting := 0
	for _, b := range open {
		if b.State == Waiting {
			waiting++
		}
	}
	if waiting > 0 {
		list = append(list, Alert{Key: "orders", Number: waiting, Path: "/admin/orders"})
	}
	if s.c.Alerts != nil {
		list = append(list, s.c.Alerts(ctx)...)
	}
	slices.SortStableFunc(list, func(a, b Alert) int {
		switch {
		case a.Critical == b.Critical:
			return 0
		case a.Critical:
			return -1
		}
		return 1
	})
	return list, nil
}

// stats returns the last statistics, and counts only when there are none yet.
func (s *Service) stats(ctx context.Context) (Stats, error) {
	k := &s.statsCache
	k.mu.Lock()
	k.wanted = true
	last := k.last
	k.mu.Unlock()
	if !last.At.IsZero() {
		return last, nil
	}
	return s.recountStats(ctx)
}

func (s *Service) recountStats(ctx context.Context) (Stats, error) {
	t, err := s.c.Store.AdminStats(ctx, s.c.Now())
	if err != nil {
		return Stats{}, storeErr("counting", err)
	}
	s.statsCache.mu.Lock()
	defer s.statsCache.mu.Unlock()
	s.statsCache.last, s.statsCache.wanted = t, false
	return t, nil
}

// refreshStats counts at the start, and again when old statistics were requested.
func (s *Service) refreshStats(ctx context.Context) {
	s.statsCache.mu.Lock()
	due := (s.statsCache.wanted || s.statsCache.last.At.IsZero()) && s.c.Now().Sub(s.statsCache.last.At) >= statsLife
	s.statsCache.mu.Unlock()
	if !due {
		return
	}
	if _, err := s.recountStats(ctx); err != nil && ctx.Err() == nil {
		s.c.Log.Error("counting for the overview", "err", err)
	}
}
