package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/enroll"
	"certportal/revocation"
)

// revokedGrace is how long a revoked certificate stays listed after its end. RFC
// 5280 section 3.3 asks for one regular list beyond it; this is longer than any
// list lives.
const revokedGrace = 30 * 24 * time.Hour

// Latest gives the newest list of an issuer; false when there is none.
func (db *DB) Latest(ctx context.Context, issuer string) (revocation.List, bool, error) {
	list := revocation.List{Issuer: issuer}
	var this, next sql.NullInt64
	err := db.one(ctx, `SELECT number, this_update, next_update, der FROM crls
		WHERE issuer = $1 AND der IS NOT NULL ORDER BY number DESC LIMIT 1`,
		[]any{issuer}, &list.Number, &this, &next, &list.DER)
	if errors.Is(err, enroll.ErrNotFound) {
		return revocation.List{}, false, nil
	}
	if err != nil {
		return revocation.List{}, false, fmt.Errorf("reading newest list of %s: %w", issuer, err)
	}
	list.ThisUpdate, list.NextUpdate = timeOf(this), timeOf(next)
	return list, true, nil
}

// Publish builds and stores the next list in one transaction, in which the
// issuer's number is locked. The list holds every revoked certificate of the
// issuer until 30 days after its end. build is called again when the transaction
// is repeated, with the same or a higher number; what it returns must bear the
// number it was given. On SQLite nothing else is written while build runs, so that
// others' writes fail when it takes longer than they wait.
func (db *DB) Publish(ctx context.Context, issuer string, now time.Time,
	build func(number int64, revoked []ca.Revocation) (revocation.List, error)) (revocation.List, error) {
	var list revocation.List
	err := db.writeWithin(ctx, workWithin, "publishing list of "+issuer, func(ctx context.Context, t *tx) error {
		number, err := t.nextNumber(ctx, issuer, now)
		if err != nil {
			return fmt.Errorf("drawing number: %w", err)
		}
		revoked, err := t.revoked(ctx, issuer, number, now)
		if err != nil {
			return fmt.Errorf("collecting revoked certificates: %w", err)
		}
		if list, err = build(number, revoked); err != nil {
			return fmt.Errorf("building number %d: %w", number, err)
		}
		if list.Number != number || list.Issuer != issuer || len(list.DER) == 0 {
			return fmt.Errorf("list number %d of %q is not the one asked for, %d", list.Number, list.Issuer, number)
		}
		return t.insertList(ctx, list, len(revoked))
	})
	if err != nil {
		return revocation.List{}, err
	}
	return list, nil
}

// nextNumber moves the issuer's number on by one, or to the clock where that is
// further: after a restore the clock is beyond what was published before.
func (t *tx) nextNumber(ctx context.Context, issuer string, now time.Time) (int64, error) {
	var number int64
	err := t.one(ctx, `INSERT INTO crl_numbers (issuer, number) VALUES ($1, $2)
		ON CONFLICT (issuer) DO UPDATE SET number = CASE
			WHEN excluded.number > crl_numbers.number THEN excluded.number ELSE crl_numbers.number + 1 END
		RETURNING number`, []any{issuer, now.UnixMilli()}, &number)
	return number, err
}

// revoked marks what is about to be listed and reads what is listed. In this
// order: a revocation that is committed between the two is then listed and not
// marked, which costs a list too many; never marked and not listed.
func (t *tx) revoked(ctx context.Context, issuer string, number int64, now time.Time) ([]ca.Revocation, error) {
	_, err := t.exec(ctx, `UPDATE certificates SET listed_in = $2
		WHERE issuer = $1 AND revoked_at IS NOT NULL AND listed_in IS NULL`, issuer, number)
	if err != nil {
		return nil, err
	}
	var revoked []ca.Revocation
	err = t.all(ctx, `SELECT serial, revoked_at, reason_code FROM certificates
		WHERE issuer = $1 AND revoked_at IS NOT NULL AND not_after > $2`,
		[]any{issuer, now.Add(-revokedGrace).UnixMilli()}, func(rows *sql.Rows) error {
			var serial string
			var at sql.NullInt64
			var r ca.Revocation
			if err := rows.Scan(&serial, &at, &r.Reason); err != nil {
				return err
			}
			var err error
			r.Serial, err = serialOf(serial)
			r.At = timeOf(at)
			revoked = append(revoked, r)
			return err
		})
	return revoked, err
}

// insertList stores a list and drops the bytes of those before it, of which
// number and times are kept.
func (t *tx) insertList(ctx context.Context, list revocation.List, entries int) error {
	_, err := t.exec(ctx, `INSERT INTO crls (issuer, number, this_update, next_update, entries, der)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		list.Issuer, list.Number, list.ThisUpdate.UnixMilli(), list.NextUpdate.UnixMilli(), entries, list.DER)
	if err != nil {
		return fmt.Errorf("storing number %d: %w", list.Number, err)
	}
	_, err = t.exec(ctx, "UPDATE crls SET der = NULL WHERE issuer = $1 AND number < $2 AND der IS NOT NULL",
		list.Issuer, list.Number)
	if err != nil {
		return fmt.Errorf("dropping lists before number %d: %w", list.Number, err)
	}
	return nil
}

// Unlisted reports whether a certificate of the issuer is revoked and stands in
// no list yet.
func (db *DB) Unlisted(ctx context.Context, issuer string) (bool, error) {
	var found bool
	err := db.one(ctx, `SELECT EXISTS (SELECT 1 FROM certificates
		WHERE issuer = $1 AND revoked_at IS NOT NULL AND listed_in IS NULL)`, []any{issuer}, &found)
	if err != nil {
		return false, fmt.Errorf("looking for revocations by %s: %w", issuer, err)
	}
	return found, nil
}
