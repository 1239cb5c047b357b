package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
)

// AdminStats counts what the overview shows, along the indexes of a search.
func (db Search) AdminStats(ctx context.Context, now time.Time, since admin.StatsSince) (admin.Stats, error) {
	t := admin.Stats{At: now, Since: since}
	ms, ending := now.UnixMilli(), now.Add(admin.StatsEnding)
	var err error
	if t.Working, err = db.inUse(ctx, "c.not_after > $1", ms); err != nil {
		return t, err
	}
	if t.Ending, err = db.inUse(ctx, "c.not_after > $1 AND c.not_after <= $2", ms, ending.UnixMilli()); err != nil {
		return t, err
	}
	if t.Issued, err = db.issued(ctx, since.Issued.Add(-time.Millisecond), now.Add(time.Hour)); err != nil {
		return t, err
	}
	t.Revoked, err = db.ofPeople(ctx, "c.revoked_at >= $1", "c.revoked_at >= $1", since.Revoked.UnixMilli())
	if err != nil {
		return t, err
	}
	for i := range t.IssuedWeeks {
		from := now.AddDate(0, 0, 7*(i-admin.StatsWeeks))
		if t.IssuedWeeks[i], err = db.issued(ctx, from, from.AddDate(0, 0, 7)); err != nil {
			return t, err
		}
		from = now.AddDate(0, 0, 7*i)
		t.EndingWeeks[i], err = db.inUse(ctx, "c.not_after > $1 AND c.not_after <= $2", from.UnixMilli(), from.AddDate(0, 0, 7).UnixMilli())
		if err != nil {
			return t, err
		}
	}
	t.Failed, err = db.count(ctx, "counting refusals", `SELECT count(*) FROM ledger WHERE action = $2
		AND seq >= (SELECT l.seq FROM ledger l WHERE l.at >= $1 ORDER BY l.at, l.seq LIMIT 1)`,
		since.Failed.UnixMilli(), string(audit.EnrolmentRefused))
	return t, err
}

// inUse counts certificates of people that are issued and not superseded, by a CA that was
// not revoked.
func (db Search) inUse(ctx context.Context, ends string, args ...any) (int, error) {
	where := "c.status = 'issued' AND " + notVoid + " AND " + ends
	return db.ofPeople(ctx, where, stillValid+" AND "+where, args...)
}

// issued counts certificates of people that were asked for in a time and signed.
func (db Search) issued(ctx context.Context, from, to time.Time) (int, error) {
	const where = "c.requested_at > $1 AND c.requested_at <= $2 AND c.der IS NOT NULL"
	return db.ofPeople(ctx, where, where, from.UnixMilli(), to.UnixMilli())
}

// ofPeople counts certificates without the portal's own. These are few and have an index:
// they are counted apart and subtracted, because the index of all does not tell them
// apart, and reading every row takes long.
func (db Search) ofPeople(ctx context.Context, all, own string, args ...any) (int, error) {
	return db.count(ctx, "counting certificates", `SELECT (SELECT count(*) FROM certificates c WHERE `+all+`)
		- (SELECT count(*) FROM certificates c WHERE c.person IS NULL AND `+own+`)`, args...)
}

// RefusalReasons counts the reasons of the newest refused enrolments since a moment, the
// most frequent first. It reads at most limit of them.
func (db Search) RefusalReasons(ctx context.Context, since time.Time, limit int) ([]admin.ReasonCount, error) {
	counts := map[string]int{}
	err := db.All(ctx, `SELECT detail FROM ledger WHERE action = $2
		AND seq >= (SELECT l.seq FROM ledger l WHERE l.at >= $1 ORDER BY l.at, l.seq LIMIT 1) ORDER BY seq DESC LIMIT $3`,
		[]any{since.UnixMilli(), string(audit.EnrolmentRefused), limit}, func(rows *sql.Rows) error {
			var text sql.RawBytes
			if err := rows.Scan(&text); err != nil {
				return err
			}
			detail, _ := detailOf(text) // one that was altered has no reason: the audit log's alert says so
			counts[detail["reason"]]++
			return nil
		})
	var list []admin.ReasonCount
	for reason, n := range counts {
		list = append(list, admin.ReasonCount{Reason: reason, Count: n})
	}
	slices.SortFunc(list, func(a, b admin.ReasonCount) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return list, err
}
