package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"certportal/ca"
)

// Revoked returns the revocations of an issuer with numbers above after and up to
// through, sorted by serial, of certificates that end after the time. Revocations
// from before there were such numbers have negative ones: 0 for after means all.
func (db RevocationLists) Revoked(ctx context.Context, issuer string, after, through int64, ending time.Time) ([]ca.Revocation, error) {
	where := " FROM revocations WHERE COALESCE(authority, issuer) = $1 AND seq > $2 AND seq <= $3"
	if after == 0 {
		// For all of them SQLite is kept from its index by the number: the table itself
		// lies in the order of serials.
		where, after = " FROM revocations WHERE COALESCE(authority, issuer) || '' = $1 AND +seq > $2 AND +seq <= $3", math.MinInt64
	}
	var many int
	err := db.AllWithin(ctx, workWithin, "SELECT count(*)"+where, []any{issuer, after, through}, func(rows *sql.Rows) error {
		return rows.Scan(&many)
	})
	if err != nil {
		return nil, fmt.Errorf("counting revocations by %s: %w", issuer, err)
	}
	revoked := make([]ca.Revocation, 0, many)
	err = db.AllWithin(ctx, workWithin, "SELECT serial, revoked_at, reason_code"+where+" AND not_after > $4",
		[]any{issuer, after, through, ending.UnixMilli()}, func(rows *sql.Rows) error {
			var serial string
			var at int64
			var r ca.Revocation
			if err := rows.Scan(&serial, &at, &r.Reason); err != nil {
				return err
			}
			var err error
			r.Serial, err = serialOf(serial)
			r.At = time.UnixMilli(at).UTC()
			revoked = append(revoked, r)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading revocations by %s: %w", issuer, err)
	}
	bySerial := func(a, b ca.Revocation) int { return a.Serial.Compare(b.Serial) }
	if !slices.IsSortedFunc(revoked, bySerial) {
		slices.SortFunc(revoked, bySerial) // PostgreSQL would do so on disk
	}
	return revoked, nil
}
