package store

import (
	"context"
	"errors"
	"fmt"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// EndedAlone counts the certificates of others that one of the staff ended since a
// moment, in all ways together, and those that a running bulk revocation of theirs is
// about to end. What a second administrator approved does not count.
func (db BulkRevocations) EndedAlone(ctx context.Context, a enroll.Alone) (int, error) {
	n := 0
	err := db.write(ctx, "counting what one administrator ended", func(ctx context.Context, t *tx) (err error) {
		n, err = t.endedAlone(ctx, a)
		return err
	})
	return n, err
}

// checkAlone refuses a change that ended more certificates than one of the staff may.
// It comes after the entries of the change: they take the lock of the audit log, so that
// of two changes at once the second counts the first.
func (t *tx) checkAlone(ctx context.Context, a enroll.Alone, ending int) error {
	if a.Most == 0 || ending == 0 {
		return nil
	}
	n, err := t.endedAlone(ctx, a)
	if err == nil && n > a.Most {
		err = enroll.ErrSecondPerson
	}
	return err
}

func (t *tx) endedAlone(ctx context.Context, a enroll.Alone) (int, error) {
	if !sqldb.Storable(string(a.Person)) {
		return 0, nil
	}
	lowest := int64(0)
	err := t.One(ctx, "SELECT seq FROM ledger WHERE at < $1 ORDER BY at DESC, seq DESC LIMIT 1",
		[]any{a.Since.Add(-clockSkew).UnixMilli()}, &lowest)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return 0, fmt.Errorf("finding the entries of an hour: %w", err)
	}
	ended, running := 0, 0
	// In JSON a comment cannot hold the key of an approver: its quotes are escaped.
	err = t.One(ctx, `SELECT count(*) FROM ledger WHERE substr(actor, 1, 64) = substr($1, 1, 64) AND actor = $1 AND seq > $2
		AND at > $3 AND action = $4 AND role <> $5 AND detail NOT LIKE '%"approver":"%'`,
		[]any{string(a.Person), lowest, a.Since.UnixMilli(), string(audit.CertificateRevoked), string(portal.Employee)}, &ended)
	if err != nil {
		return 0, fmt.Errorf("counting certificates ended: %w", err)
	}
	err = t.One(ctx, `SELECT CAST(coalesce(sum(items - finished), 0) AS BIGINT) FROM orders
		WHERE maker = $1 AND state = 'running' AND approver = ''`, []any{string(a.Person)}, &running)
	if err != nil {
		return 0, fmt.Errorf("counting certificates about to end: %w", err)
	}
	return ended + running, nil
}
