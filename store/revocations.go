package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

// errUntold refuses to commit a revocation that the ledger does not tell of: it would
// have no place in the order in which lists and answers follow.
var errUntold = errors.New("certificate was ended without a ledger entry")

// unknownEnd stands for the end of a certificate of which nothing but its revocation
// is known: it stays listed.
var unknownEnd = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// ending is a revocation whose ledger entry has no number yet.
type ending struct {
	issuer   string
	at       int64
	reason   int
	notAfter int64
}

// remember keeps an ending until its ledger entry is appended.
func (t *tx) remember(serial string, e ending) {
	if t.ended == nil {
		t.ended = make(map[string]ending)
	}
	t.ended[serial] = e
}

// told gives the row of the revocation that an entry tells of, nil when it tells of
// none. The first entry about the serial is it.
func (t *tx) told(e audit.Entry) []any {
	ended, found := t.ended[e.Object]
	if !found {
		return nil
	}
	delete(t.ended, e.Object)
	return []any{ended.issuer, e.Seq, e.Object, ended.at, ended.reason, ended.notAfter}
}

// revocationColumns are those of a row of [tx.told].
const revocationColumns = "issuer, seq, serial, revoked_at, reason_code, not_after"

// insertRevocation records the revocation that an entry tells of.
func (t *tx) insertRevocation(ctx context.Context, e audit.Entry) error {
	row := t.told(e)
	if row == nil {
		return nil
	}
	_, err := t.Exec(ctx, "INSERT INTO revocations ("+revocationColumns+") VALUES ($1, $2, $3, $4, $5, $6)", row...)
	if err != nil {
		return fmt.Errorf("recording revocation of %s: %w", e.Object, err)
	}
	return nil
}

// Revoked gives the revocations of an issuer that ledger entries above after and up to
// through tell of, sorted by serial, of certificates that end after the time. Revocations
// from before there were such numbers have negative ones: after is 0 for all there are.
func (db *DB) Revoked(ctx context.Context, issuer string, after, through int64, ending time.Time) ([]ca.Revocation, error) {
	where := " FROM revocations WHERE issuer = $1 AND seq > $2 AND seq <= $3"
	if after == 0 {
		// For all of them SQLite is kept from its index by the number: the table itself
		// lies in the order of serials.
		where, after = " FROM revocations WHERE issuer || '' = $1 AND +seq > $2 AND +seq <= $3", math.MinInt64
	}
	var many int
	err := db.One(ctx, "SELECT count(*)"+where, []any{issuer, after, through}, &many)
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
