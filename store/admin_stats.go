package store

import (
	"context"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
)

// AdminStats counts what the overview shows, along the indexes of a search.
func (db Search) AdminStats(ctx context.Context, now time.Time) (admin.Stats, error) {
	t := admin.Stats{At: now}
	ms := now.UnixMilli()
	for _, c := range []struct {
		into  *int
		query string
		args  []any
	}{
		{&t.Working, "SELECT count(*) FROM certificates c WHERE " + stillValid + " AND c.not_after > $1", []any{ms}},
		{&t.Issued, "SELECT count(*) FROM certificates c WHERE c.requested_at > $1 AND c.der IS NOT NULL", []any{now.Add(-admin.StatsIssued).UnixMilli()}},
		{&t.Ending, "SELECT count(*) FROM certificates c WHERE " + stillValid + " AND c.not_after > $1 AND c.not_after <= $2",
			[]any{ms, now.Add(admin.StatsEnding).UnixMilli()}},
		{&t.Revoked, "SELECT count(*) FROM certificates c WHERE c.revoked_at > $1", []any{now.Add(-admin.StatsRevoked).UnixMilli()}},
	} {
		n, err := db.count(ctx, "counting certificates", c.query, c.args...)
		if err != nil {
			return t, err
		}
		*c.into = n
	}
	var err error
	t.Failed, err = db.count(ctx, "counting refusals", `SELECT count(*) FROM ledger WHERE action = $2
		AND seq >= (SELECT l.seq FROM ledger l WHERE l.at >= $1 ORDER BY l.at, l.seq LIMIT 1)`,
		now.Add(-admin.StatsFailed).UnixMilli(), string(audit.EnrolmentRefused))
	return t, err
}
