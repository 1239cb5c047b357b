package admin

import (
	"context"
	"errors"
	"slices"
	"time"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

// StatsWeeks is how many weeks the overview shows.
const StatsWeeks = 12

// Stats are the numbers of the overview, without the portal's own certificates.
type Stats struct {
	Working int // valid certificates, and the newest of their device
	Issued  int // requested since Since.Issued
	Ending  int // expiring within StatsEnding
	Revoked int // since Since.Revoked
	Failed  int // refused enrolments since Since.Failed
	At      time.Time
	Since   StatsSince

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

// StatsEnding is how far ahead ends are counted.
const StatsEnding = DefaultDays * 24 * time.Hour

// StatsSince are the moments since which the overview counts. Each is the start of a day,
// so that a list that is filtered by days has the same rows.
type StatsSince struct{ Issued, Revoked, Failed time.Time }

// NewStatsSince returns the moments for a time: 7 days, 30 days, and one day before.
func NewStatsSince(now time.Time, zone *time.Location) StatsSince {
	now = now.In(zone)
	day := func(ago int) time.Time { return time.Date(now.Year(), now.Month(), now.Day()-ago, 0, 0, 0, 0, zone) }
	return StatsSince{Issued: day(7), Revoked: day(30), Failed: day(1)}
}

// statsLife is the age at which the statistics are counted again, and countPatience how
// long a visitor waits for that.
const (
	statsLife     = time.Minute
	countPatience = 3 * time.Second
)

// counts is what is counted for the overview.
type counts struct {
	stats     Stats
	holders   map[string]Holders
	refusals  []ReasonCount
	campaigns []Campaign
}

// Overview is the content of the start page of administrators.
type Overview struct {
	Stats    Stats
	Holders  map[string]Holders // of certificates in use, by the name of the CA
	Refusals []ReasonCount      // since Since.Issued, the most frequent first

	Campaigns []Campaign // that run, or ended lately
	Mails     bool       // the portal sends mail
	Stopped   bool       // the issuing CA was revoked, and none issues in its place
	Halt      Halt
	Alerts    []Alert // critical ones first
	Checks    []CheckResult
}

// Overview returns statistics, alerts and the last results of the health checks. The
// statistics are at most a minute old, or older ones while a count takes long; their At is
// zero when there are none yet.
func (s *Service) Overview(ctx context.Context, by portal.Actor) (Overview, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadOverview}); err != nil {
		return Overview{}, err
	}
	var o Overview
	last, err := s.counts.get(ctx, s.c.Now(), statsLife, countPatience, s.count)
	if err != nil && !errors.Is(err, errBusy) {
		return o, err
	}
	o.Stats, o.Holders, o.Refusals, o.Campaigns = last.stats, last.holders, last.refusals, last.campaigns
	o.Checks, o.Mails = s.checkResults(), s.c.Mails
	if s.c.Authority != nil {
		o.Stopped = s.c.Authority.Status().Stopped
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

// count counts what the overview shows.
func (s *Service) count(ctx context.Context) (counts, error) {
	now := s.c.Now()
	since := NewStatsSince(now, s.c.Zone)
	t, err := s.c.Store.AdminStats(ctx, now, since)
	if err != nil {
		return counts{}, storeErr("counting", err)
	}
	holders, err := s.c.Store.AuthorityHolders(ctx, now)
	if err != nil {
		return counts{}, storeErr("counting by CA", err)
	}
	refusals, err := s.c.Store.RefusalReasons(ctx, since.Issued, maxRefusals)
	if err != nil {
		return counts{}, storeErr("counting refusals", err)
	}
	campaigns, err := s.c.Store.Campaigns(ctx, now, now.Add(-campaignShown))
	return counts{t, holders, refusals, campaigns}, storeErr("reading campaigns", err)
}

// refreshStats counts at the start, and again before old statistics that were requested
// become too old: while the page is in use, it does not wait for a count.
func (s *Service) refreshStats(ctx context.Context) {
	s.counts.refresh(ctx, s.c.Now(), statsLife-pollEvery, func(reading context.Context) (counts, error) {
		last, err := s.count(reading)
		if err != nil && ctx.Err() == nil {
			s.c.Log.Error("counting for the overview", "err", err)
		}
		return last, err
	})
}
