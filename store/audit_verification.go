package store

import (
	"context"
	"database/sql"
	"fmt"

	"certportal/internal/audit"
	"certportal/store/sqldb"
)

// LastVerification returns the result of the last verification, the zero value
// before the first.
func (db AuditLog) LastVerification(ctx context.Context) (audit.Verification, error) {
	var c audit.Verification
	var broken audit.Break
	var hash []byte
	var at, full, since sql.NullInt64
	err := db.One(ctx, `SELECT seq, hash, checked_at, full_at, fault, fault_seq, fault_until, broken_since
		FROM ledger_check WHERE id = 1`, nil,
		&c.Seq, &hash, &at, &full, &broken.Fault, &broken.Seq, &broken.Until, &since)
	if err == nil {
		c.Hash, err = sqldb.Hash32(hash)
	}
	if err != nil {
		return audit.Verification{}, fmt.Errorf("reading verification: %w", err)
	}
	c.At, c.FullAt, c.Since = sqldb.TimeOf(at), sqldb.TimeOf(full), sqldb.TimeOf(since)
	if broken.Fault != "" {
		c.Broken = &broken
	}
	return c, nil
}

// SaveVerification stores the result of a verification, with entries that report it.
func (db AuditLog) SaveVerification(ctx context.Context, c audit.Verification, entries ...audit.Entry) error {
	var broken audit.Break
	if c.Broken != nil {
		broken = *c.Broken
	}
	return db.write(ctx, "storing verification", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `UPDATE ledger_check SET seq = $1, hash = $2, checked_at = $3, full_at = $4,
			fault = $5, fault_seq = $6, fault_until = $7, broken_since = $8 WHERE id = 1`,
			c.Seq, c.Hash[:], sqldb.Moment(c.At), sqldb.Moment(c.FullAt),
			string(broken.Fault), broken.Seq, broken.Until, sqldb.Moment(c.Since))
		if err != nil {
			return err
		}
		return t.append(ctx, entries...)
	})
}

// Mismatches compares certificates with the audit log, and returns at most limit
// that differ: a certificate without an entry for its reservation, one that was
// reserved and is missing, one that was revoked and is not marked so or would be
// missing in CRLs, one in CRLs without an entry, and one in the CRLs of another CA than
// its own.
func (db AuditLog) Mismatches(ctx context.Context, limit int) ([]*audit.Break, error) {
	var found []*audit.Break
	// SQLite does not use an index on an expression to compare with a column, because
	// only the column has a type. Concatenated with an empty text, it is an expression.
	for _, query := range []string{
		`SELECT 0, c.serial FROM certificates c WHERE NOT EXISTS (SELECT 1 FROM ledger l
			WHERE substr(l.object, 1, 64) = c.serial || '' AND l.action = 'certificate.reserved') ORDER BY c.serial LIMIT $1`,
		`SELECT l.seq, l.object FROM ledger l LEFT JOIN certificates c ON c.serial = l.object
			WHERE l.action = 'certificate.reserved' AND c.serial IS NULL ORDER BY l.seq LIMIT $1`,
		`SELECT l.seq, l.object FROM ledger l LEFT JOIN certificates c ON c.serial = l.object
			WHERE l.action = 'certificate.revoked' AND (c.status IS NULL OR c.status <> 'revoked') ORDER BY l.seq LIMIT $1`,
		`SELECT l.seq, l.object FROM ledger l LEFT JOIN revocations r ON r.serial = l.object
			WHERE l.action IN ('certificate.revoked', 'certificate.recalled') AND r.serial IS NULL ORDER BY l.seq LIMIT $1`,
		`SELECT r.seq, r.serial FROM revocations r LEFT JOIN ledger l ON l.seq = r.seq
			WHERE r.seq > 0 AND (l.object IS NULL OR l.object <> r.serial) ORDER BY r.seq LIMIT $1`,
		`SELECT r.seq, r.serial FROM revocations r JOIN certificates c ON c.serial = r.serial
			WHERE COALESCE(c.authority, c.issuer) <> COALESCE(r.authority, r.issuer) ORDER BY r.seq LIMIT $1`,
	} {
		err := db.AllWithin(ctx, workWithin, query, []any{limit}, func(rows *sql.Rows) error {
			b := &audit.Break{Fault: audit.RecordDiffers}
			found = append(found, b)
			return rows.Scan(&b.Seq, &b.Object)
		})
		if err != nil {
			return nil, fmt.Errorf("comparing certificates with the audit log: %w", err)
		}
	}
	return found[:min(len(found), limit)], nil
}
