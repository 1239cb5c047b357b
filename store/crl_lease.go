package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/ca/crl"
	"certportal/internal/portal"
)

// maxLeaseSkew is how far the end of a lease may lie beyond what this clock would
// set. A lease that was taken by a clock a year ahead must not last a year.
const maxLeaseSkew = 5 * time.Minute

// AcquireLease gives the builder the lease on an issuer's CRLs. Its number is above every
// number this issuer ever used and at least the Unix time of now in milliseconds:
// after a restore the clock is beyond what was published before. Through is an audit
// entry before which everything is committed. crl.ErrBusy says that another
// builder's lease runs; the holder may renew its own.
func (db RevocationLists) AcquireLease(ctx context.Context, issuer, builder string, now time.Time, lease time.Duration) (crl.Lease, error) {
	turn := crl.Lease{Issuer: issuer, Builder: builder}
	until := now.Add(lease)
	err := db.write(ctx, "taking lease of "+issuer, func(ctx context.Context, t *tx) error {
		err := t.One(ctx, `INSERT INTO crl_numbers (issuer, number, builder, lease_until) VALUES ($1, $2, $3, $4)
			ON CONFLICT (issuer) DO UPDATE SET builder = excluded.builder, lease_until = excluded.lease_until,
				number = CASE WHEN excluded.number > crl_numbers.number THEN excluded.number ELSE crl_numbers.number + 1 END
			WHERE crl_numbers.builder = excluded.builder OR crl_numbers.lease_until <= $2 OR crl_numbers.lease_until > $5
			RETURNING number`,
			[]any{issuer, now.UnixMilli(), builder, until.UnixMilli(), until.Add(maxLeaseSkew).UnixMilli()}, &turn.Number)
		if errors.Is(err, portal.ErrNotFound) {
			return crl.ErrBusy
		}
		if err != nil {
			return fmt.Errorf("drawing number: %w", err)
		}
		// Entries get their numbers in the order of commits.
		if err := t.One(ctx, "SELECT seq FROM ledger_head WHERE id = 1", nil, &turn.Through); err != nil {
			return fmt.Errorf("reading head of audit log: %w", err)
		}
		return nil
	})
	if err != nil {
		return crl.Lease{}, err
	}
	return turn, nil
}

// ReleaseLease ends the lease after a CRL could not be built. A lease that is over already
// stays so.
func (db RevocationLists) ReleaseLease(ctx context.Context, turn crl.Lease) error {
	return db.write(ctx, "returning lease of "+turn.Issuer, func(ctx context.Context, t *tx) error {
		_, err := t.endLease(ctx, turn)
		return err
	})
}

// endLease lets the next builder begin, and reports whether the lease was the last
// one taken: it may outlive its time when no other builder waited for it.
func (t *tx) endLease(ctx context.Context, turn crl.Lease) (bool, error) {
	touched, err := t.Exec(ctx, `UPDATE crl_numbers SET builder = '', lease_until = 0
		WHERE issuer = $1 AND number = $2 AND builder = $3`, turn.Issuer, turn.Number, turn.Builder)
	if err != nil {
		return false, fmt.Errorf("ending lease %d: %w", turn.Number, err)
	}
	return touched == 1, nil
}
