package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// ask has the CA of a revoked certificate revoke it too, where the portal does not
// run that CA. A reservation without a certificate needs no revocation.
func (t upstreamTx) ask(ctx context.Context, r revocation) error {
	if !isUpstream(r.issuer) {
		return nil
	}
	var der []byte
	err := t.One(ctx, "SELECT der FROM certificates WHERE serial = $1", []any{r.serial}, &der)
	if err != nil && !errors.Is(err, portal.ErrNotFound) { // of a restored copy, which does not know it
		return fmt.Errorf("reading certificate %s: %w", r.serial, err)
	}
	if err := t.wipeKeys(ctx, "$1", r.serial); err != nil {
		return err
	}
	if _, err := t.Exec(ctx, "UPDATE upstream_requests SET next_at = NULL WHERE serial = $1", r.serial); err != nil {
		return fmt.Errorf("closing request of %s: %w", r.serial, err)
	}
	if len(der) == 0 {
		return nil
	}
	return t.insertRevocationOf(ctx, upstreamDuty{r.serial, r.issuer, der, r.reason, enroll.UpstreamEnded, r.at, r.notAfter})
}

// wipeKeys drops the keys that wait for certificates, which a query or a placeholder names
// by serial or by the number of the request.
func (t upstreamTx) wipeKeys(ctx context.Context, which string, args ...any) error {
	_, err := t.Exec(ctx, "UPDATE upstream_requests SET sealed_key = NULL WHERE sealed_key IS NOT NULL AND (number IN ("+which+") OR serial IN ("+which+"))", args...)
	if err != nil {
		return fmt.Errorf("wiping keys that wait: %w", err)
	}
	return nil
}

// upstreamDuty is a certificate that a CA must revoke, and why.
type upstreamDuty struct {
	serial, authority string
	der               []byte
	reason            int
	why               string
	at, notAfter      int64
}

func (t upstreamTx) insertRevocationOf(ctx context.Context, d upstreamDuty) error {
	_, err := t.Exec(ctx, `INSERT INTO upstream_revocations (serial, authority, der, reason_code, why, asked_at, next_at, not_after)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT (serial, authority) DO NOTHING`, d.serial, d.authority, d.der, d.reason, d.why, d.at, d.notAfter)
	if err != nil {
		return fmt.Errorf("recording that %s must revoke %s: %w", d.authority, d.serial, err)
	}
	return nil
}

const revocationColumns = "serial, authority, der, reason_code, why, asked_at, next_at, tries, detail"

func scanUpstreamRevocation(rows *sql.Rows) (v enroll.UpstreamRevocation, err error) {
	var serial string
	var asked int64
	var next sql.NullInt64
	if err := rows.Scan(&serial, &v.Authority, &v.DER, &v.Reason, &v.Why, &asked, &next, &v.Tries, &v.Detail); err != nil {
		return v, err
	}
	v.Asked, v.Next = time.UnixMilli(asked).UTC(), sqldb.TimeOf(next)
	v.Serial, err = serialOf(serial)
	return v, err
}

// DueUpstreamRevocations takes revocations at a CA that are due: until the time given no
// other replica gets them.
func (db Enrolments) DueUpstreamRevocations(ctx context.Context, authority string, now, until time.Time, limit int) ([]enroll.UpstreamRevocation, error) {
	var due []enroll.UpstreamRevocation
	err := db.write(ctx, "taking revocations", func(ctx context.Context, t *tx) error {
		due = nil
		return t.All(ctx, `UPDATE upstream_revocations SET next_at = $2 WHERE authority = $4
			AND serial IN (SELECT serial FROM upstream_revocations WHERE next_at <= $1 AND authority = $4 ORDER BY next_at LIMIT $3)
			AND next_at <= $1 RETURNING `+revocationColumns,
			[]any{now.UnixMilli(), until.UnixMilli(), limit, authority}, func(rows *sql.Rows) error {
				v, err := scanUpstreamRevocation(rows)
				due = append(due, v)
				return err
			})
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// NoteUpstreamRevocation records the outcome of a try, with the entry unless it is empty.
func (db Enrolments) NoteUpstreamRevocation(ctx context.Context, v enroll.UpstreamRevocation, entry audit.Entry) error {
	return db.write(ctx, "recording revocation of "+v.Serial.String(), func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, `UPDATE upstream_revocations SET next_at = $3, tries = $4, done_at = $5, detail = $6, done_by = $7
			WHERE serial = $1 AND authority = $2 AND done_at IS NULL`,
			v.Serial.String(), v.Authority, sqldb.Moment(v.Next), v.Tries, sqldb.Moment(v.Done), sqldb.Cleaned(v.Detail), v.DoneBy)
		if err != nil || touched == 0 || entry.Action == "" {
			return err
		}
		return t.append(ctx, entry)
	})
}

// UpstreamRevocations lists what other CAs did not confirm, the oldest first.
func (db Enrolments) UpstreamRevocations(ctx context.Context, limit int) ([]enroll.UpstreamRevocation, error) {
	return db.openRevocations(ctx, "TRUE", "asked_at, serial", limit)
}

// openRevocations lists revocations that are not confirmed and match a condition, in an order.
func (db *base) openRevocations(ctx context.Context, where, order string, limit int, args ...any) ([]enroll.UpstreamRevocation, error) {
	var open []enroll.UpstreamRevocation
	err := db.All(ctx, "SELECT "+revocationColumns+" FROM upstream_revocations WHERE done_at IS NULL AND "+where+" ORDER BY "+order+" LIMIT $1",
		append([]any{limit}, args...), func(rows *sql.Rows) error {
			v, err := scanUpstreamRevocation(rows)
			open = append(open, v)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing revocations at other CAs: %w", err)
	}
	return open, nil
}
