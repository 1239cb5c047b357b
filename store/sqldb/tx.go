package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// AnswerTimeout bounds what a person waits for: the queue, all tries and the
	// pauses between them. Requests that pile up behind a lock would outlive the
	// lock otherwise.
	AnswerTimeout = 3 * time.Second

	// WorkTimeout bounds background work and what grows with the data, such as a
	// revocation list.
	WorkTimeout = time.Minute
)

const (
	// maxTransactionTries bounds the repetition of a transaction that lost
	// against another one.
	maxTransactionTries = 6

	// awayTry bounds the pause while the server is away: it is that before this try.
	awayTry = 5

	// firstPause is the mean pause before the second try; it doubles each time.
	firstPause = 10 * time.Millisecond
)

// bounded ends ctx after the time, or when it ends anyway.
func bounded(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, within, errNoAnswer)
}

// overdue adds to the error of an act why its context had ended, if it had.
func overdue(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// Tx is a transaction that writes. On SQLite it holds the only write lock from
// its beginning; on PostgreSQL, at read committed, each statement takes the row
// locks it needs.
type Tx struct {
	db     *DB
	tx     *sql.Tx
	missed []string // statements to prepare for the next time
}

// Write runs act in a transaction and commits it, within the time given. It repeats
// act when another transaction was in the way or the server restarts, so act must set what it returns
// afresh each time, and use the context it is given, which ends with that time.
// When Write returns nil, what act did is durable.
func (db *DB) Write(ctx context.Context, within time.Duration, doing string, act func(context.Context, *Tx) error) error {
	ctx, cancel := bounded(ctx, within)
	defer cancel()
	var gone absence
	for try := 1; ; try++ {
		err := db.writeOnce(ctx, act)
		if err == nil {
			return nil
		}
		if db.engine.durabilityLost(err) {
			db.stop(errBroken, "disk refuses to keep data, writing stopped until restart", err)
		}
		if !db.again(ctx, err, try, &gone) {
			return fmt.Errorf("%s: %w", doing, overdue(ctx, err))
		}
	}
}

// absence is since when a server is away.
type absence struct{ since time.Time }

// waited waits for a server that may be back within seconds, and no longer than for an answer,
// also where the act has more time: it reports whether to ask again.
func (a *absence) waited(ctx context.Context, try int) bool {
	if a.since.IsZero() {
		a.since = time.Now()
	}
	return time.Since(a.since) < AnswerTimeout && pause(ctx, min(try, awayTry))
}

// again reports whether to repeat what surely had no effect, after a pause.
func (db *DB) again(ctx context.Context, err error, try int, gone *absence) bool {
	var commit *commitError
	switch {
	case db.engine.retryable(err) && try < maxTransactionTries:
		return pause(ctx, try)
	case db.engine.away(err) && !errors.As(err, &commit):
		return gone.waited(ctx, try)
	}
	return false
}

// commitError is the error of a COMMIT. When the connection ends meanwhile, what was done may
// be committed or not.
type commitError struct{ err error }

// Error gives the text of the driver's error.
func (e *commitError) Error() string { return "committing: " + e.err.Error() }

// Unwrap gives the driver's error.
func (e *commitError) Unwrap() error { return e.err }

// writable refuses writing where it would be lost.
func (db *DB) writable() error {
	if reason := db.Stopped(); reason != nil {
		return reason
	}
	err := db.engine.intact()
	if errors.Is(err, errMoved) {
		db.stop(errMoved, "database file is gone, writing stopped until restart", err)
	}
	return err
}

// stop ends all writing for good and logs it once; the first reason is kept.
func (db *DB) stop(reason error, message string, cause error) {
	if db.broken.CompareAndSwap(nil, &reason) {
		db.log.Error(message, "err", cause)
	}
}

func (db *DB) writeOnce(ctx context.Context, act func(context.Context, *Tx) error) error {
	if err := db.writable(); err != nil {
		return err
	}
	sqlTx, err := db.writer.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer sqlTx.Rollback() // does nothing once committed
	t := &Tx{db: db, tx: sqlTx}
	if err := act(ctx, t); err != nil {
		return err
	}
	// Again: the wait for the writer, or building a list, may have been long.
	if err := db.writable(); err != nil {
		return err
	}
	doubts := db.engine.doubts()
	if err := sqlTx.Commit(); err != nil {
		return &commitError{err}
	}
	if db.engine.doubts() != doubts { // this commit, or another one at the same time
		return &commitError{errUnreplicated}
	}
	// With the time that is left: what is committed need not wait for a lock.
	db.writer.learn(ctx, t.missed...)
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
func (t *Tx) statement(ctx context.Context, query string) *sql.Stmt {
	known := t.db.writer.statement(query)
	if known == nil {
		t.missed = append(t.missed, query)
		return nil
	}
	return t.tx.StmtContext(ctx, known)
}

// Exec runs a statement and returns the number of rows it touched. A violated
// unique constraint wraps the Conflict of the configuration.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int, error) {
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

// One runs a statement that gives at most one row and scans it. Without a row
// the error is the NotFound of the configuration.
func (t *Tx) One(ctx context.Context, query string, args []any, into ...any) error {
	if s := t.statement(ctx, query); s != nil {
		return t.db.meaning(s.QueryRowContext(ctx, args...).Scan(into...))
	}
	return t.db.meaning(t.tx.QueryRowContext(ctx, query, args...).Scan(into...))
}

// All runs a statement and calls scan for each row. The rows are closed when it
// returns.
func (t *Tx) All(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
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

// One reads a single row outside a transaction, as [Tx.One] does inside, within
// the time of an answer.
func (db *DB) One(ctx context.Context, query string, args []any, into ...any) error {
	ctx, cancel := bounded(ctx, AnswerTimeout)
	defer cancel()
	var gone absence
	for try := 1; ; try++ {
		err := db.reader.row(ctx, query, args...).Scan(into...)
		if err == nil || !db.engine.away(err) || !gone.waited(ctx, try) {
			return overdue(ctx, db.meaning(err))
		}
	}
}

// All reads rows outside a transaction, as [Tx.All] does inside, within the time
// of an answer.
func (db *DB) All(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	return db.AllWithin(ctx, AnswerTimeout, query, args, scan)
}

// AllWithin is [DB.All] with another bound.
func (db *DB) AllWithin(ctx context.Context, within time.Duration, query string, args []any, scan func(*sql.Rows) error) error {
	ctx, cancel := bounded(ctx, within)
	defer cancel()
	began := false // rows that were given are not given again
	once := func(rows *sql.Rows) error {
		began = true
		return scan(rows)
	}
	var gone absence
	for try := 1; ; try++ {
		rows, err := db.reader.query(ctx, query, args...)
		if err == nil {
			err = each(rows, once)
		}
		if err == nil || began || !db.engine.away(err) || !gone.waited(ctx, try) {
			return overdue(ctx, db.meaning(err))
		}
	}
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
