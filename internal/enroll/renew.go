package enroll

import (
	"context"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// The times of a renewal where no setting says otherwise.
const (
	DefaultRenewFrom = 60 * 24 * time.Hour // before the end of a certificate
	DefaultOverlap   = 7 * 24 * time.Hour  // that the old one goes on working
)

// ReservationLife is how long a reservation may belong to a running request, here
// or on another replica.
const ReservationLife = 2 * issueTimeout

// RenewWindow is how long before its end a certificate may be renewed.
func (r *Registrar) RenewWindow() time.Duration { return r.c.RenewFrom }

// Overlap is how long the old certificate works beside the new one.
func (r *Registrar) Overlap() time.Duration { return r.c.Overlap }

// Ending ends what renewals superseded.
type Ending struct {
	// Device is whose superseded certificates end before their time, because its person
	// says that the newest works, which is recorded. Empty where Serials are meant.
	Device portal.DeviceID

	// Serials end when they are superseded and past their time.
	Serials []ca.Serial

	At    time.Time
	Entry audit.Entry
}

// Finish records that the newest certificate of a device works, as its person says, and
// ends what it superseded before its time. It returns ErrNotFound for a device that is not theirs, and
// ErrConflict while the new one was not fetched. A device without a superseded
// certificate stays as it is.
func (r *Registrar) Finish(ctx context.Context, by portal.Actor, id portal.DeviceID) error {
	if _, err := r.Device(ctx, by.Person, id); err != nil {
		return err
	}
	now := r.c.Now()
	ended, err := r.c.Store.EndSuperseded(ctx, Ending{
		Device: id, At: now, Entry: by.Entry(now, audit.CertificateRevoked),
	})
	if err != nil {
		return portal.AsOutage(portal.PartStore, "ending superseded certificates", err)
	}
	if len(ended) > 0 {
		r.c.Revoked()
	}
	return nil
}

// endOverdue ends superseded certificates whose time is over.
func (r *Registrar) endOverdue(ctx context.Context, before time.Time) error {
	list := func() ([]ca.Serial, error) { return r.c.Store.Overdue(ctx, before, sweepBatch) }
	return r.sweepEach(ctx, portal.Replaced, list, func(serials []ca.Serial) (int, error) {
		now := r.c.Now()
		ended, err := r.c.Store.EndSuperseded(ctx, Ending{
			Serials: serials, At: now, Entry: portal.Actor{}.Entry(now, audit.CertificateRevoked),
		})
		if err != nil {
			return 0, portal.AsOutage(portal.PartStore, "ending superseded certificates", err)
		}
		if len(ended) > 0 {
			r.c.Revoked()
		}
		return len(ended), nil
	})
}
