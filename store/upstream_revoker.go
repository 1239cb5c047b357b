package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// OpenRevocations lists what one CA did not confirm of the certificates that have not ended,
// the least tried first: what cannot be revoked there must not keep the rest waiting.
func (db Revokers) OpenRevocations(ctx context.Context, authority string, now time.Time, limit int) ([]enroll.UpstreamRevocation, error) {
	return db.openRevocations(ctx, "authority = $2 AND "+notEnded("$3"), "tries, asked_at, serial", limit, authority, now.UnixMilli())
}

// notEnded is that the certificate of a revocation has not ended at a moment, which a
// placeholder names. That is not known of some from before the column.
func notEnded(now string) string { return "(not_after IS NULL OR not_after > " + now + ")" }

// NoteRevokerAsked records that the revoker of a CA asked for its work.
func (db Revokers) NoteRevokerAsked(ctx context.Context, authority string, at time.Time) error {
	return db.write(ctx, "noting that the revoker of "+authority+" asked", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `INSERT INTO upstream_revokers (authority, asked_at) VALUES ($1, $2)
			ON CONFLICT (authority) DO UPDATE SET asked_at = excluded.asked_at WHERE upstream_revokers.asked_at < excluded.asked_at`,
			authority, at.UnixMilli())
		return err
	})
}

// NoteRevokerReport records what the revoker of a CA reports, with the entry where it is
// news, of failures once an hour. It returns ErrNotFound for a certificate that this CA is not to revoke, and
// ErrConflict when one is not revoked that was reported to be.
func (db Revokers) NoteRevokerReport(ctx context.Context, authority string, r enroll.RevokerReport, entry audit.Entry) error {
	return db.write(ctx, "recording what the revoker says of "+r.Serial.String(), func(ctx context.Context, t *tx) error {
		// The row is locked first: two reports at once are one piece of news.
		touched, err := t.Exec(ctx, "UPDATE upstream_revocations SET tries = tries + 1 WHERE serial = $1 AND authority = $2 AND done_at IS NULL",
			r.Serial.String(), authority)
		if err != nil {
			return err
		}
		var before string
		if err := t.One(ctx, "SELECT detail FROM upstream_revocations WHERE serial = $1 AND authority = $2", []any{r.Serial.String(), authority}, &before); err != nil {
			return err
		}
		switch {
		case touched == 0 && r.Revoked:
			return nil // it was reported before
		case touched == 0:
			return portal.ErrConflict
		case !r.Revoked && before == r.Detail:
			return nil
		}
		done, by := time.Time{}, ""
		if r.Revoked {
			done, by = entry.At, enroll.ByRevoker
		}
		if _, err := t.Exec(ctx, "UPDATE upstream_revocations SET done_at = $3, done_by = $4, next_at = NULL, detail = $5 WHERE serial = $1 AND authority = $2",
			r.Serial.String(), authority, sqldb.Moment(done), by, sqldb.Cleaned(r.Detail)); err != nil {
			return err
		}
		return upstreamTx{t}.appendReport(ctx, entry)
	})
}

// notRevokedEvery is how often it is recorded that a certificate could not be revoked, so that
// answers that change at every try do not fill the audit log.
const notRevokedEvery = time.Hour

// appendReport appends the entry of a report, unless that says again and soon that a
// certificate could not be revoked.
func (t upstreamTx) appendReport(ctx context.Context, entry audit.Entry) error {
	if entry.Action == audit.UpstreamNotRevoked {
		soon, err := anyRow(ctx, t.tx, "SELECT 1 FROM ledger WHERE substr(object, 1, 64) = $1 AND action = $2 AND actor = $3 AND at > $4",
			entry.Object, string(entry.Action), entry.Actor, entry.At.Add(-notRevokedEvery).UnixMilli())
		if err != nil || soon {
			return err
		}
	}
	return t.append(ctx, entry)
}

// UpstreamRevokers lists the CAs that have revocations open, of certificates that have not
// ended, or a revoker that asked.
func (db Revokers) UpstreamRevokers(ctx context.Context, now time.Time) ([]enroll.UpstreamRevoker, error) {
	var all []enroll.UpstreamRevoker
	err := db.All(ctx, `SELECT a.authority, max(a.asked), count(a.since), min(a.since) FROM (
			SELECT authority, asked_at AS asked, CAST(NULL AS BIGINT) AS since FROM upstream_revokers
			UNION ALL SELECT authority, NULL, asked_at FROM upstream_revocations WHERE done_at IS NULL AND `+notEnded("$1")+`
		) a GROUP BY a.authority ORDER BY a.authority`, []any{now.UnixMilli()},
		func(rows *sql.Rows) error {
			var v enroll.UpstreamRevoker
			var asked, since sql.NullInt64
			if err := rows.Scan(&v.Authority, &asked, &v.Open, &since); err != nil {
				return err
			}
			v.Asked, v.Since = sqldb.TimeOf(asked), sqldb.TimeOf(since)
			all = append(all, v)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("listing revokers of other CAs: %w", err)
	}
	return all, nil
}
