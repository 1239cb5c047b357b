package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/internal/portal"
)

// leases are the leases on one kind of work that one replica does at a time.
type leases struct {
	name       string
	busy, lost error // what callers know
}

// acquire gives holder the lease until a time, by the database's clock, and returns the number
// of the turn: higher with each acquisition. The error is busy while the lease of another
// holder runs; with force it is taken from that one. A lease far beyond what this clock would
// set is one of a wrong clock, and does not count.
func (l leases) acquire(ctx context.Context, t *tx, holder string, now, until time.Time, force bool) (turn int64, err error) {
	err = t.One(ctx, `INSERT INTO leases (name, holder, turn, lease_until) VALUES ($1, $2, 1, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, turn = leases.turn + 1, lease_until = excluded.lease_until
		WHERE $6 OR leases.holder IN ('', excluded.holder) OR leases.lease_until <= $4 OR leases.lease_until > $5
		RETURNING turn`,
		[]any{l.name, holder, until.UnixMilli(), now.UnixMilli(), until.Add(maxLeaseSkew).UnixMilli(), force}, &turn)
	if errors.Is(err, portal.ErrNotFound) {
		return 0, l.busy
	}
	if err != nil {
		return 0, fmt.Errorf("taking the lease %s: %w", l.name, err)
	}
	return turn, nil
}

// hold locks the lease until the transaction ends, so that no other holder begins before what
// is written under it is committed. The error is lost when another holder has it.
func (l leases) hold(ctx context.Context, t *tx, holder string, turn int64) error {
	return l.change(ctx, t, "UPDATE leases SET turn = turn WHERE name = $1 AND holder = $2 AND turn = $3", l.name, holder, turn)
}

// renew lets the lease last until a time. A lease that is over is renewed when no other holder
// took it.
func (l leases) renew(ctx context.Context, t *tx, holder string, turn int64, until time.Time) error {
	return l.change(ctx, t, "UPDATE leases SET lease_until = $4 WHERE name = $1 AND holder = $2 AND turn = $3",
		l.name, holder, turn, until.UnixMilli())
}

// release ends the lease.
func (l leases) release(ctx context.Context, t *tx, holder string, turn int64) error {
	return l.change(ctx, t, "UPDATE leases SET holder = '', lease_until = 0 WHERE name = $1 AND holder = $2 AND turn = $3", l.name, holder, turn)
}

func (l leases) change(ctx context.Context, t *tx, query string, args ...any) error {
	touched, err := t.Exec(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("changing the lease %s: %w", l.name, err)
	}
	if touched == 0 {
		return l.lost
	}
	return nil
}
