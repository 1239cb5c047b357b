package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// maxTransactionTries bounds the repetition of a transaction that lost
	// against another one.
	maxTransactionTries = 6

	// firstPause is the mean pause before the second try; it doubles each time.
	firstPause = 10 * time.Millisecond
)

// tx is a transaction that writes. On SQLite it holds the only write lock from
// its beginning; on PostgreSQL, at read committed, each act takes the row locks
// it needs: first people, then what it changes, and the ledger's head last.
type tx struct {
	db     *DB
	tx     *sql.Tx
	missed []string
}

// write runs act in a transaction and commits it. It repeats act when another
// transaction was in the way, so act must set what it returns afresh each time.
// When it returns nil, what act did is durable.
func (db *DB) write(ctx context.Context, doing string, act func(*tx) error) error {
	for try := 1; ; try++ {
		err := db.writeOnce(ctx, act)
		if err == nil {
			return nil
		}
		if db.engine.durabilityLost(err) {
			db.broken.Store(true)
			db.log.Error("disk refuses to keep data, writing stopped until restart", "err", err)
		}
		if try == maxTransactionTries || !db.engine.retryable(err) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		if !pause(ctx, try) {
			return fmt.Errorf("%s: %w", doing, errors.Join(ctx.Err(), err))
		}
	}
}

func (db *DB) writeOnce(ctx context.Context, act func(*tx) error) error {
	// After a failed fsync the system may have dropped the pages and report
	// success the next time: whatever is written now could rest on lost data.
	if db.broken.Load() {
		return errBroken
	}
	sqlTx, err := db.writer.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer sqlTx.Rollback() // does nothing once committed
	t := &tx{db: db, tx: sqlTx}
	if err := act(t); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return err
	}
	db.writer.learn(context.WithoutCancel(ctx), t.missed...)
	return nil
}

// pause waits before another try; false when the context ended first.
func pause(ctx context.Context, try int) bool {
	mean := firstPause << (try - 1)
	timer := time.NewTimer(mean/2 + rand.N(mean))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// statement gives the prepared statement, or notes that there should be one.
func (t *tx) statement(ctx context.Context, query string) *sql.Stmt {
	known := t.db.writer.statement(query)
	if known == nil {
		t.missed = append(t.missed, query)
		return nil
	}
	return t.tx.StmtContext(ctx, known)
}

// exec runs a statement and returns the number of rows it touched. A violated
// unique constraint wraps enroll.ErrConflict.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int, error) {
	run := func() (sql.Result, error) { return t.tx.ExecContext(ctx, query, args...) }
	if s := t.statement(ctx, query); s != nil {
		run = func() (sql.Result, error) { return s.ExecContext(ctx, args...) }
	}
	result, err := run()
	if err != nil {
		return 0, t.db.meaning(err)
	}
	touched, err := result.RowsAffected()
	return int(touched), err
}

// one runs a statement that gives at most one row and scans it. Without a row
// the error wraps enroll.ErrNotFound.
func (t *tx) one(ctx context.Context, query string, args []any, into ...any) error {
	if s := t.statement(ctx, query); s != nil {
		return t.db.meaning(s.QueryRowContext(ctx, args...).Scan(into...))
	}
	return t.db.meaning(t.tx.QueryRowContext(ctx, query, args...).Scan(into...))
}

// all runs a statement and calls scan for each row. The rows are closed when it
// returns.
func (t *tx) all(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	var rows *sql.Rows
	var err error
	if s := t.statement(ctx, query); s != nil {
		rows, err = s.QueryContext(ctx, args...)
	} else {
		rows, err = t.tx.QueryContext(ctx, query, args...)
	}
	if err != nil {
		return t.db.meaning(err)
	}
	return t.db.meaning(each(rows, scan))
}

// one reads a single row outside a transaction, as [tx.one] does inside.
func (db *DB) one(ctx context.Context, query string, args []any, into ...any) error {
	return db.meaning(db.reader.row(ctx, query, args...).Scan(into...))
}

// all reads rows outside a transaction, as [tx.all] does inside.
func (db *DB) all(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := db.reader.query(ctx, query, args...)
	if err != nil {
		return db.meaning(err)
	}
	return db.meaning(each(rows, scan))
}

func each(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
