package enroll

import (
	"context"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

// The times of a renewal where no setting says otherwise.
const (
	DefaultRenewFrom = 60 * 24 * time.Hour // before the end of a certificate
	DefaultOverlap   = 7 * 24 * time.Hour  // that the old one goes on working
)

// ReservationLife is how long a reservation may belong to a running request, here
// or on another replica.
const ReservationLife = 2 * issueTimeout

// Renewable says whether the device may have its next certificate now, without
// losing what it holds: nil, or a *Refusal. DeviceBlocked is for a device that
// holds nothing which merely ran out; RenewEarly, with Until, for one whose end is
// further away than the window or than half of the certificate's life, and whose
// names still hold. While the certificate before the newest works, the device may
// have another try: the newest may never have arrived.
func (d Device) Renewable(now time.Time, window time.Duration) error {
	c := d.Certificate
	if !d.Removed.IsZero() || !d.Blocked.IsZero() || c.Status == "" || c.Status == Revoked {
		return &Refusal{Reason: DeviceBlocked, Value: d.Name}
	}
	from := d.RenewFrom(window)
	renamed := c.Changed == UPNChanged || c.Changed == SIDChanged
	if c.Status != Pending && (renamed || now.Before(d.FormerEnds) || !now.Before(from)) {
		return nil
	}
	return &Refusal{Reason: RenewEarly, Value: d.Name, Until: from}
}

// RenewFrom is from when on the certificate of the device may be renewed.
func (d Device) RenewFrom(window time.Duration) time.Time {
	c := d.Certificate
	return c.End().Add(-min(window, c.NotAfter.Sub(c.NotBefore)/2))
}

// RenewWindow is how long before its end a certificate may be renewed.
func (r *Registrar) RenewWindow() time.Duration { return r.c.RenewFrom }

// Overlap is how long the old certificate works beside the new one.
func (r *Registrar) Overlap() time.Duration { return r.c.Overlap }

// Ending ends what renewals superseded.
type Ending struct {
	// Device is whose superseded certificates end before their time, because the
	// newer one is in use. Empty where Serials are meant.
	Device DeviceID

	// Serials end when they are superseded and past their time.
	Serials []ca.Serial

	At    time.Time
	Entry audit.Entry
}

// Finish ends the certificate that a renewal superseded, before its time: the new
// one works. It returns ErrNotFound for a device that is not theirs, and
// ErrConflict while the new one was not fetched. A device without a superseded
// certificate stays as it is.
func (r *Registrar) Finish(ctx context.Context, by By, id DeviceID) error {
	if _, err := r.Device(ctx, by.Person, id); err != nil {
		return err
	}
	now := r.c.Now()
	ended, err := r.c.Records.EndSuperseded(ctx, Ending{
		Device: id, At: now, Entry: by.entry(now, audit.CertificateRevoked),
	})
	if err != nil {
		return outage(PartStore, "ending superseded certificates", err)
	}
	if len(ended) > 0 {
		r.c.Revoked()
	}
	return nil
}

// endOverdue ends superseded certificates whose time is over.
func (r *Registrar) endOverdue(ctx context.Context) error {
	list := func() ([]ca.Serial, error) { return r.c.Records.Overdue(ctx, r.c.Now(), sweepBatch) }
	return r.sweepEach(ctx, Replaced, list, func(serials []ca.Serial) (int, error) {
		now := r.c.Now()
		ended, err := r.c.Records.EndSuperseded(ctx, Ending{
			Serials: serials, At: now, Entry: By{}.entry(now, audit.CertificateRevoked),
		})
		if err != nil {
			return 0, outage(PartStore, "ending superseded certificates", err)
		}
		if len(ended) > 0 {
			r.c.Revoked()
		}
		return len(ended), nil
	})
}
