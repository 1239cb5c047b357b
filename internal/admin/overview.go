package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

// StatsWeeks is how many weeks the overview shows.
const StatsWeeks = 12

// Stats are the numbers of the overview, without the portal's own certificates.
type Stats struct {
	Working int // valid certificates, and the newest of their device
	Issued  int // requested within StatsIssued
	Ending  int // expiring within StatsEnding
	Revoked int // within StatsRevoked
	Failed  int // refused enrolments within StatsFailed
	At      time.Time

	IssuedWeeks [StatsWeeks]int // requested in each of the last weeks, the oldest first
	EndingWeeks [StatsWeeks]int // expiring in each of the next weeks
}

// ReasonCount is how often enrolments were refused for a reason.
type ReasonCount struct {
	Reason string // as the audit log has it
	Count  int
}

// maxRefusals bounds the refusals whose reasons are counted.
const maxRefusals = 2000

// The time spans of the numbers.
const (
	StatsIssued  = 7 * 24 * time.Hour
	StatsEnding  = DefaultDays * 24 * time.Hour
	StatsRevoked = 30 * 24 * time.Hour
	StatsFailed  = 24 * time.Hour
)

// statsLife is the age at which the statistics are counted again.
const statsLife = time.Minute

type statsCache struct {
	mu       sync.Mutex // held while counting, so that visitors wait for one count
	last     Stats
	refusals []ReasonCount
	wanted   bool // requested since the last count
}

// Overview is the content of the start page of administrators.
type Overview struct {
	Stats    Stats
	Refusals []ReasonCount // within StatsIssued, the most frequent first
	Halt     Halt
	Alerts   []Alert // critical ones first
	Checks   []CheckResult
}

// Overview returns statistics, alerts and the last results of the health checks. The
// statistics are at most a minute old.
func (s *Service) Overview(ctx context.Context, by portal.Actor) (Overview, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadOverview}); err != nil {
		return Overview{}, err
	}
	var o Overview
	var err error
	if o.Stats, o.Refusals, err = s.stats(ctx); err != nil {
		return o, err
	}
	o.Checks = s.checkResults()
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
	open, err := s.c.Store.Bulks(ctx, true, 0, PageSize)
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

// stats returns the last statistics, and counts again when they are a minute old.
func (s *Service) stats(ctx context.Context) (Stats, []ReasonCount, error) {
	k := &s.statsCache
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := s.c.Now().Sub(k.last.At); k.last.At.IsZero() || age < 0 || age >= statsLife {
		if err := s.countStats(ctx); err != nil {
			return Stats{}, nil, err
		}
	}
	k.wanted = true
	return k.last, k.refusals, nil
}

// countStats counts. The caller holds the lock of the statistics.
func (s *Service) countStats(ctx context.Context) error {
	now := s.c.Now()
	t, err := s.c.Store.AdminStats(ctx, now)
	if err != nil {
		return storeErr("counting", err)
	}
	refusals, err := s.c.Store.RefusalReasons(ctx, now.Add(-StatsIssued), maxRefusals)
	if err != nil {
		return storeErr("counting refusals", err)
	}
	k := &s.statsCache
	k.last, k.refusals, k.wanted = t, refusals, false
	return nil
}

// refreshStats counts at the start, and again before old statistics that were requested
// become too old: while the page is in use, it does not wait for a count.
func (s *Service) refreshStats(ctx context.Context) {
	k := &s.statsCache
	k.mu.Lock()
	defer k.mu.Unlock()
	due := k.last.At.IsZero() || k.wanted && s.c.Now().Sub(k.last.At) >= statsLife-pollEvery
	if !due {
		return
	}
	if err := s.countStats(ctx); err != nil && ctx.Err() == nil {
		s.c.Log.Error("counting for the overview", "err", err)
	}
}
