package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/ca/crl"
	"certportal/internal/portal"
)

// leaseLeap is how far the end of a lease may lie beyond what this clock would give.
// A turn that was taken by a clock a year ahead must not last a year.
const leaseLeap = 5 * time.Minute

// Take gives the builder the turn for as long as the lease. Its number is above every
// number this issuer ever drew and at least the Unix time of now in milliseconds: after
// a restore the clock is beyond what was published before. Through is an entry
// before which everything is committed. revocation.ErrBusy says that another's lease
// runs; who has the turn may take the next.
func (db RevocationLists) Take(ctx context.Context, issuer, builder string, now time.Time, lease time.Duration) (crl.Turn, error) {
	turn := crl.Turn{Issuer: issuer, Builder: builder}
	until := now.Add(lease)
	err := db.write(ctx, "taking turn of "+issuer, func(ctx context.Context, t *tx) error {
		err := t.One(ctx, `INSERT INTO crl_numbers (issuer, number, builder, lease_until) VALUES ($1, $2, $3, $4)
			ON CONFLICT (issuer) DO UPDATE SET builder = excluded.builder, lease_until = excluded.lease_until,
				number = CASE WHEN excluded.number > crl_numbers.number THEN excluded.number ELSE crl_numbers.number + 1 END
			WHERE crl_numbers.builder = excluded.builder OR crl_numbers.lease_until <= $2 OR crl_numbers.lease_until > $5
			RETURNING number`,
			[]any{issuer, now.UnixMilli(), builder, until.UnixMilli(), until.Add(leaseLeap).UnixMilli()}, &turn.Number)
		if errors.Is(err, portal.ErrNotFound) {
			return crl.ErrBusy
		}
		if err != nil {
			return fmt.Errorf("drawing number: %w", err)
		}
		// Numbers of entries are given in the order of commits.
		if err := t.One(ctx, "SELECT seq FROM ledger_head WHERE id = 1", nil, &turn.Through); err != nil {
			return fmt.Errorf("reading ledger head: %w", err)
		}
		return nil
	})
	if err != nil {
		return crl.Turn{}, err
	}
	return turn, nil
}

// Return gives the turn back after a list could not be built. A turn that is over
// already stays so.
func (db RevocationLists) Return(ctx context.Context, turn crl.Turn) error {
	return db.write(ctx, "returning turn of "+turn.Issuer, func(ctx context.Context, t *tx) error {
		_, err := t.endTurn(ctx, turn)
		return err
	})
}

// endTurn lets the next builder begin, and reports whether the turn was the last that
// began: it may outlive its lease when nobody waited for it.
func (t *tx) endTurn(ctx context.Context, turn crl.Turn) (bool, error) {
	touched, err := t.Exec(ctx, `UPDATE crl_numbers SET builder = '', lease_until = 0
		WHERE issuer = $1 AND number = $2 AND builder = $3`, turn.Issuer, turn.Number, turn.Builder)
	if err != nil {
		return false, fmt.Errorf("ending turn %d: %w", turn.Number, err)
	}
	return touched == 1, nil
}
