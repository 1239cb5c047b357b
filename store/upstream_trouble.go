package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/internal/enroll"
	"certportal/store/sqldb"
)

const (
	// unrevokedAfter is how old a revocation may be that another CA did not confirm.
	unrevokedAfter = 10 * time.Minute

	// troubleFor is how long it is reported that a request came to nothing.
	troubleFor = 24 * time.Hour
)

// UnrestrictedUpstreams gives the CAs that issued in the newest test of a refusal that was
// decided, and when that was.
func (db Enrolments) UnrestrictedUpstreams(ctx context.Context) (map[string]time.Time, error) {
	found := make(map[string]time.Time)
	err := db.All(ctx, `SELECT t.authority, max(t.asked_at) FROM upstream_trials t JOIN upstream_requests q ON q.number = t.number
		WHERE t.kind = 'refusal' AND q.state IN ('issued', 'refused', 'late') AND NOT EXISTS (
			SELECT 1 FROM upstream_trials n JOIN upstream_requests m ON m.number = n.number
			WHERE n.authority = t.authority AND n.kind = t.kind AND n.asked_at > t.asked_at AND m.state = 'denied' AND n.denied_as <> 'portal')
		GROUP BY t.authority`, nil, func(rows *sql.Rows) error {
		var authority string
		var asked int64
		err := rows.Scan(&authority, &asked)
		found[authority] = time.UnixMilli(asked).UTC()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking at tests of other CAs: %w", err)
	}
	return found, nil
}

// UpstreamTrouble counts what administrators must look at in the work with other CAs.
func (db Enrolments) UpstreamTrouble(ctx context.Context, now time.Time) (enroll.UpstreamTrouble, error) {
	var t enroll.UpstreamTrouble
	for _, q := range []struct {
		query string
		args  []any
		n     *int
		since *time.Time
	}{
		{"SELECT count(*), min(sent_at) FROM upstream_requests WHERE state = 'unknown'", nil, &t.Unknown, &t.UnknownSince},
		{"SELECT count(*), max(closed_at) FROM upstream_requests WHERE state = 'refused' AND sent_at > $1", []any{now.Add(-troubleFor).UnixMilli()}, &t.Refused, &t.RefusedAt},
		{"SELECT count(*), max(closed_at) FROM upstream_requests WHERE state = 'lost' AND sent_at > $1", []any{now.Add(-troubleFor).UnixMilli()}, &t.Lost, &t.LostAt},
		{"SELECT count(*), min(asked_at) FROM upstream_revocations WHERE done_at IS NULL AND asked_at <= $1 AND " + notEnded("$2"),
			[]any{now.Add(-unrevokedAfter).UnixMilli(), now.UnixMilli()}, &t.Unrevoked, &t.UnrevokedSince},
		{"SELECT count(*), min(done_at) FROM upstream_revocations WHERE absent_update > done_at + $2 AND " + notEnded("$1"),
			[]any{now.UnixMilli(), enroll.UpstreamListGrace.Milliseconds()}, &t.Unlisted, &t.UnlistedSince},
		{`SELECT count(*), max(c.revoked_at) FROM upstream_revocations v JOIN certificates c ON c.serial = v.serial
			WHERE v.listed_at > $1 AND c.cause = 'authority'`, []any{now.Add(-troubleFor).UnixMilli()}, &t.ByAuthority, &t.ByAuthorityAt},
	} {
		var since sql.NullInt64
		if err := db.One(ctx, q.query, q.args, q.n, &since); err != nil {
			return t, fmt.Errorf("counting requests to other CAs: %w", err)
		}
		*q.since = sqldb.TimeOf(since)
	}
	return t, nil
}
