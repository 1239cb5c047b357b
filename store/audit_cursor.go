package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// HoldCursor gives holder the named cursor in the audit log until the time given,
// and returns the number of the last entry read. held is false while another replica
// holds it. A new cursor begins before the first entry.
func (db AuditLog) HoldCursor(ctx context.Context, name, holder string, now, until time.Time) (seq int64, held bool, err error) {
	err = db.write(ctx, "holding cursor "+name, func(ctx context.Context, t *tx) error {
		err := t.One(ctx, `INSERT INTO ledger_readers (name, seq, holder, held_until, failure) VALUES ($1, 0, $2, $4, '')
			ON CONFLICT (name) DO UPDATE SET holder = $2, held_until = $4
			WHERE ledger_readers.holder = $2 OR ledger_readers.held_until <= $3 RETURNING seq`,
			[]any{name, holder, now.UnixMilli(), until.UnixMilli()}, &seq)
		held = err == nil
		if errors.Is(err, portal.ErrNotFound) {
			return nil
		}
		return err
	})
	return seq, held && err == nil, err
}

// AdvanceCursor records that holder read up to an entry, and ends a recorded
// failure. It does nothing when another replica holds the cursor, and never goes
// back.
func (db AuditLog) AdvanceCursor(ctx context.Context, name, holder string, seq int64) error {
	return db.write(ctx, "advancing cursor "+name, func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `UPDATE ledger_readers SET seq = $3, failure = '', failing_since = NULL
			WHERE name = $1 AND holder = $2 AND seq <= $3`, name, holder, seq)
		return err
	})
}

// FailCursor records why holder cannot go on; the beginning of the failure stays.
func (db AuditLog) FailCursor(ctx context.Context, name, holder, failure string, at time.Time) error {
	return db.write(ctx, "recording failure of cursor "+name, func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `UPDATE ledger_readers SET failure = $3, failing_since = COALESCE(failing_since, $4)
			WHERE name = $1 AND holder = $2`, name, holder, sqldb.Cleaned(failure), at.UnixMilli())
		return err
	})
}

// ReleaseCursor lets another replica hold the cursor at once.
func (db AuditLog) ReleaseCursor(ctx context.Context, name, holder string) error {
	return db.write(ctx, "releasing cursor "+name, func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "UPDATE ledger_readers SET held_until = 0 WHERE name = $1 AND holder = $2", name, holder)
		return err
	})
}

// Cursors returns how far each cursor is, by name.
func (db AuditLog) Cursors(ctx context.Context) ([]audit.Cursor, error) {
	var readers []audit.Cursor
	err := db.All(ctx, "SELECT name, seq, failure, failing_since FROM ledger_readers ORDER BY name", nil,
		func(rows *sql.Rows) error {
			var r audit.Cursor
			var since sql.NullInt64
			err := rows.Scan(&r.Name, &r.Seq, &r.Failure, &since)
			r.Since = sqldb.TimeOf(since)
			readers = append(readers, r)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing cursors: %w", err)
	}
	return readers, nil
}
