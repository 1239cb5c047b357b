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
	// gatherBatch is how many certificates are searched in one transaction.
	gatherBatch = 1000

	// runBatch is how many certificates are revoked in one transaction. On SQLite other
	// writers wait for it, so it must be short.
	runBatch = 200

	// crlEvery is the number of batches between CRL updates during a run; creating a
	// long CRL takes longer than a batch.
	crlEvery = 50

	// pollEvery is how often a replica looks for bulk revocations of others.
	pollEvery = 15 * time.Second
)

// Wake makes [Service.Run] look for work at once. It never blocks.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run processes bulk revocations and refreshes the statistics of the overview until the
// context ends. It continues what a crash interrupted.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if err := s.RunBulks(ctx); err != nil && ctx.Err() == nil {
			s.c.Log.Error("running bulk revocations", "err", err)
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

// RunBulks gathers, revokes and expires unfinished bulk revocations. An error of one
// does not stop the others.
func (s *Service) RunBulks(ctx context.Context) error {
	var open []BulkRevocation
	for more := true; more; {
		page, err := s.c.Store.Bulks(ctx, true, len(open), PageSize)
		if err != nil {
			return storeErr("listing bulk revocations", err)
		}
		open, more = append(open, page...), len(page) == PageSize
	}
	var errs []error
	for _, o := range open {
		errs = append(errs, s.advance(ctx, o))
	}
	return errors.Join(errs...)
}

// advance does everything that can be done for one bulk revocation.
func (s *Service) advance(ctx context.Context, o BulkRevocation) error {
	switch {
	case o.Unproven:
		return s.dropUnproven(ctx, o)
	case o.State == Running:
		err := s.revokeAll(ctx, o)
		if errors.Is(err, ErrUnproven) {
			return s.dropUnproven(ctx, o)
		}
		return err
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

// gather adds the next certificates of the filter. It is no error when another replica
// was faster.
func (s *Service) gather(ctx context.Context, o BulkRevocation) error {
	q, err := url.ParseQuery(o.Filter)
	if err != nil {
		return err
	}
	f, bad := ParseFilter(q, time.UTC)
	if len(bad) > 0 || f.IsZero() {
		return errors.New("bulk revocation " + o.ID + " has no narrowing filter")
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

// revokeAll revokes the certificates of a bulk revocation, batch by batch.
func (s *Service) revokeAll(ctx context.Context, o BulkRevocation) error {
	began, total := s.c.Now(), 0
	for batch := 1; ; batch++ {
		revoked, more, err := s.c.Store.RevokeBulkItems(ctx, o.ID, runBatch, s.c.Now())
		if err != nil {
			return storeErr("running bulk revocation", err)
		}
		total += revoked
		if !more {
			break
		}
		if batch%crlEvery == 0 {
			s.c.Revoked()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	s.c.Revoked()
	s.c.Log.Info("bulk revocation done", "bulk", o.ID, "revoked", total, "took", s.c.Now().Sub(began))
	return nil
}

// dropUnproven closes a bulk revocation that this portal did not record so. What it
// revoked stays revoked.
func (s *Service) dropUnproven(ctx context.Context, o BulkRevocation) error {
	s.c.Log.Error("a bulk revocation is not as this portal recorded it: dropped; make it again if it was yours", "bulk", o.ID,
		"state", o.State, "maker", o.Maker)
	return s.closeBulk(ctx, o, Dropped, audit.Entry{
		At: s.c.Now(), Action: audit.BulkDropped, Actor: "system", Role: "system", Object: o.ID, Detail: map[string]string{"reason": "unproven"},
	})
}

// lapse closes a bulk revocation that was not confirmed or approved in time.
func (s *Service) lapse(ctx context.Context, o BulkRevocation) error {
	return s.closeBulk(ctx, o, Lapsed, audit.Entry{
		At: s.c.Now(), Action: audit.BulkLapsed, Actor: "system", Role: "system", Object: o.ID,
	})
}

// closeBulk closes a bulk revocation by the portal itself.
func (s *Service) closeBulk(ctx context.Context, o BulkRevocation, to BulkState, entry audit.Entry) error {
	err := s.c.Store.TransitionBulk(ctx, BulkTransition{ID: o.ID, From: o.State, To: to, At: entry.At, Entry: entry})
	if errors.Is(err, portal.ErrConflict) {
		return nil
	}
	return storeErr("closing bulk revocation", err)
}
