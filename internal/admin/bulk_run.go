package admin

import (
	"context"
	"errors"
	"net/url"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

const (
	// gatherBatch is how many rows gathering looks at in one transaction.
	gatherBatch = 1000

	// runBatch is how many certificates end in one transaction. On SQLite others wait
	// for it, so it must be short.
	runBatch = 200

	// listEvery is after how many batches the revocation list is renewed meanwhile: a
	// long list takes longer than a batch.
	listEvery = 50

	// lookEvery is how often a replica looks for orders of the others.
	lookEvery = 15 * time.Second
)

// Wake makes [Service.Run] look for work at once. It never blocks.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run carries out orders and keeps the numbers of the overview fresh until the
// context ends. What a crash interrupted goes on here.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if err := s.RunBulks(ctx); err != nil && ctx.Err() == nil {
			s.c.Log.Error("carrying out orders", "err", err)
		}
		s.refreshStats(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// Work does what is to be done now: it gathers, ends certificates, and closes orders
// that ran out. One order's trouble does not keep another from going on.
func (s *Service) RunBulks(ctx context.Context) error {
	open, err := s.c.Store.Bulks(ctx, true, PageSize)
	if err != nil {
		return storeErr("listing orders", err)
	}
	var errs []error
	for _, o := range open {
		errs = append(errs, s.advance(ctx, o))
	}
	return errors.Join(errs...)
}

// advance does all that can be done for one order.
func (s *Service) advance(ctx context.Context, o BulkRevocation) error {
	switch {
	case o.State == Running:
		return s.revokeAll(ctx, o)
	case !s.c.Now().Before(o.Expires):
		return s.lapse(ctx, o)
	}
	var err error
	for o.State == Gathering && err == nil && ctx.Err() == nil {
		if err = s.gather(ctx, o); err == nil {
			o, err = s.c.Store.Bulk(ctx, o.ID)
		}
	}
	return storeErr("gathering", err)
}

// gather adds the next certificates that the order's filter means. Another replica
// that is faster is no fault.
func (s *Service) gather(ctx context.Context, o BulkRevocation) error {
	q, err := url.ParseQuery(o.Filter)
	if err != nil {
		return err
	}
	f, bad := ParseFilter(q, time.UTC)
	if len(bad) > 0 || f.IsZero() {
		return errors.New("order " + o.ID + " has no filter that narrows")
	}
	found, err := s.c.Store.Certificates(ctx, f, o.Cursor, gatherBatch, s.c.Now())
	if err != nil {
		return storeErr("searching certificates", err)
	}
	err = s.c.Store.AddBulkItems(ctx, o.ID, o.Cursor, revocableSerials(found.Rows), found.Next)
	if errors.Is(err, portal.ErrConflict) {
		return nil
	}
	return storeErr("gathering", err)
}

// carryOut ends what an order means, batch by batch.
func (s *Service) revokeAll(ctx context.Context, o BulkRevocation) error {
	began, total := s.c.Now(), 0
	for batch := 1; ; batch++ {
		ended, more, err := s.c.Store.RevokeBulkItems(ctx, o.ID, runBatch, s.c.Now())
		if err != nil {
			return storeErr("carrying out order", err)
		}
		total += ended
		if !more {
			break
		}
		if batch%listEvery == 0 {
			s.c.Revoked()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	s.c.Revoked()
	s.c.Log.Info("order carried out", "order", o.ID, "ended", total, "took", s.c.Now().Sub(began))
	return nil
}

// lapse closes an order to which nobody said yes in time.
func (s *Service) lapse(ctx context.Context, o BulkRevocation) error {
	now := s.c.Now()
	err := s.c.Store.TransitionBulk(ctx, BulkTransition{
		ID: o.ID, From: o.State, To: Lapsed, At: now,
		Entry: audit.Entry{At: now, Action: audit.BulkLapsed, Actor: "system", Role: "system", Object: o.ID},
	})
	if errors.Is(err, portal.ErrConflict) {
		return nil
	}
	return storeErr("closing order", err)
}
