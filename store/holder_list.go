package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// inForceAt is the condition that a certificate c is valid at $1, in the terms of
// its index.
const inForceAt = `c.der IS NOT NULL AND c.revoked_at IS NULL AND c.not_after > $1 AND c.kind = 'user'`

// CountHolders counts people with a valid certificate.
func (db DriftRecords) CountHolders(ctx context.Context, now time.Time) (int, error) {
	return db.count(ctx, "counting holders", "SELECT count(DISTINCT c.person) FROM certificates c WHERE "+inForceAt, now.UnixMilli())
}

// CountLeavers counts people whose certificates the drift watch revoked after it had
// first seen the reason behind the time, and who have no valid one now.
func (db DriftRecords) CountLeavers(ctx context.Context, after, now time.Time) (int, error) {
	return db.count(ctx, "counting leavers", `SELECT count(*) FROM departures d WHERE d.since > $2
		AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.person = d.person AND `+inForceAt+`)`,
		now.UnixMilli(), after.UnixMilli())
}

// ProtectedHolders counts people who became protected and have a valid certificate, and
// returns when the drift watch saw the first.
func (db DriftRecords) ProtectedHolders(ctx context.Context, now time.Time) (people int, since time.Time, err error) {
	var first sql.NullInt64
	err = db.One(ctx, `SELECT count(DISTINCT c.person), min(m.since) FROM marks m JOIN certificates c ON c.serial = m.serial
		WHERE `+protectedMismatches+` AND `+inForceAt, []any{now.UnixMilli()}, &people, &first)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("counting protected holders: %w", err)
	}
	return people, sqldb.TimeOf(first), nil
}

// count reads a number for background work.
func (db *base) count(ctx context.Context, doing, query string, args ...any) (int, error) {
	n := 0
	err := db.AllWithin(ctx, workWithin, query, args, func(rows *sql.Rows) error { return rows.Scan(&n) })
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return n, nil
}

// Holders lists people with a valid certificate whose id comes after the given one,
// in order, at most limit; each with all their valid certificates, the newest first,
// and their mismatches.
func (db DriftRecords) Holders(ctx context.Context, now time.Time, after portal.PersonID, limit int) ([]drift.CertificateHolder, error) {
	var holders []drift.CertificateHolder
	err := db.AllWithin(ctx, workWithin, `SELECT h.person, h.serial, h.upn, h.sid, m.change, m.since
		FROM certificates h LEFT JOIN marks m ON m.serial = h.serial
		WHERE h.der IS NOT NULL AND h.revoked_at IS NULL AND h.not_after > $1 AND h.kind = 'user' AND h.person IN (
			SELECT DISTINCT c.person FROM certificates c WHERE `+inForceAt+` AND c.person > $2 ORDER BY c.person LIMIT $3)
		ORDER BY h.person, h.requested_at DESC, h.serial`, []any{now.UnixMilli(), string(after), limit},
		func(rows *sql.Rows) (err error) {
			holders, err = scanHolder(rows, holders)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing holders after %q: %w", after, err)
	}
	return holders, nil
}

// scanHolder adds a row to the holder it belongs to, the last one or a new one: a
// row is one mismatch, or a certificate without any.
func scanHolder(rows *sql.Rows, holders []drift.CertificateHolder) ([]drift.CertificateHolder, error) {
	var person portal.PersonID
	var serial string
	var change sql.NullString
	var since sql.NullInt64
	var c drift.Certificate
	err := rows.Scan(&person, &serial, &c.UPN, &c.SID, &change, &since)
	if err != nil {
		return holders, err
	}
	if c.Serial, err = serialOf(serial); err != nil {
		return holders, err
	}
	if len(holders) == 0 || holders[len(holders)-1].Person != person {
		holders = append(holders, drift.CertificateHolder{Person: person})
	}
	h := &holders[len(holders)-1]
	if last := len(h.Certificates) - 1; last < 0 || h.Certificates[last].Serial != c.Serial {
		h.Certificates = append(h.Certificates, c)
	}
	if change.Valid {
		last := &h.Certificates[len(h.Certificates)-1]
		last.Mismatches = append(last.Mismatches, drift.Mismatch{Change: portal.Change(change.String), Since: sqldb.TimeOf(since)})
	}
	return holders, nil
}
