// Package sqldb opens a SQL database, SQLite in a file or PostgreSQL, brings its
// schema up to date and runs statements on it. It knows the engines and nothing of
// what the tables mean.
//
// There is one SQL text for both engines: PostgreSQL's $1 binds on SQLite too, also
// repeated and out of order. The dialects differ only in the schema files and here.
//
// A transaction is repeated when it lost against another one or the server restarts, and bounded in time:
// one that a person waits for ends after [AnswerTimeout], with an error when the
// database is locked or gone; background work has [WorkTimeout]. A caller's own
// deadline holds where it is shorter.
//
// The package refuses a schema newer than the program's, and writing what would be
// lost: to a disk that once failed to keep data, and to a SQLite file that was moved
// or deleted since it was opened.
package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// Config says which database to open.
type Config struct {
	// URL is "sqlite:" and a path, a bare path, or a postgres:// address as
	// PostgreSQL's own programs take it. The folder of a SQLite file must exist,
	// the file need not.
	URL string

	// Schema holds the numbered SQL files, with words that stand for what the engines
	// write differently, such as {{int}}: NNNNN_name.sql for both engines, and
	// NNNNN_name.sqlite.sql or NNNNN_name.postgres.sql for one.
	Schema fs.FS

	// Log receives what an operator should know. Optional: nil logs nothing.
	Log *slog.Logger

	// Connections bounds the connections to PostgreSQL. Optional: 10. SQLite
	// ignores it.
	Connections int

	// AsIs opens a database without changing it: no file is made, and a schema that is not
	// up to date is an error that wraps [ErrSchemaBehind].
	AsIs bool

	// Older lets AsIs open an older schema too, of any version that can be brought up to
	// date.
	Older bool

	// NotFound is the error of a query for one row that gives none. Optional:
	// [ErrNotFound].
	NotFound error

	// Conflict is wrapped by the error of a statement that violates a unique
	// constraint. Optional: [ErrConflict].
	Conflict error
}

// DB is an open database. It is safe for concurrent use, by several processes
// too: replicas on one PostgreSQL, or the portal and a command on one SQLite
// file.
type DB struct {
	engine engine
	writer *pool
	reader *pool
	log    *slog.Logger

	notFound, conflict error

	known int64 // version of the schema of this program

	// broken is set, with the reason, once writes would be lost.
	broken atomic.Pointer[error]
}

// engine is what differs between the databases at run time.
type engine interface {
	// retryable reports errors after which the same transaction may succeed, and
	// of which it is certain that nothing was committed.
	retryable(error) bool

	// away reports that the server restarts, cannot be reached, or is read-only. A statement
	// that was under way had no effect unless it was a COMMIT.
	away(error) bool

	// duplicate reports a violated unique constraint.
	duplicate(error) bool

	// durabilityLost reports that writes may be lost without another error.
	durabilityLost(error) bool

	// doubts is how many commits so far may be lost although the server reported success.
	doubts() uint64

	// intact returns errMoved when the database is no longer where the next start
	// would look for it. It is asked twice in each transaction.
	intact() error
}

// Open opens the database, creating the SQLite file where there is none, and
// brings its schema up to date. Replicas that start together migrate once. The
// error never shows a password, and wraps [ErrSchemaNewer] when the database was
// last used by a newer program, and [ErrSchemaOlder] when by one from before the first
// schema file.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.NotFound == nil {
		c.NotFound = ErrNotFound
	}
	if c.Conflict == nil {
		c.Conflict = ErrConflict
	}
	open, d := openSQLite, sqliteDialect()
	if isPostgres(c.URL) {
		open, d = openPostgres, postgresDialect()
	}
	known, err := d.newest(c.Schema)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	db, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	db.known = known
	db.log, db.notFound, db.conflict = c.Log, c.NotFound, c.Conflict
	return db, nil
}

// EngineOf is the engine of a database address.
func EngineOf(url string) string {
	if isPostgres(url) {
		return Postgres
	}
	return SQLite
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// Shared reports whether other processes may be using the database as replicas:
// true for PostgreSQL, false for SQLite, which one portal has to itself.
func (db *DB) Shared() bool { return db.reader == db.writer }

// Log is the log the database was opened with.
func (db *DB) Log() *slog.Logger { return db.log }

// CheckSchema looks whether a newer program moved the schema on since the database was opened.
// Then it ends all writing of this one, which knows less about the tables than their owner,
// and returns an error that wraps [ErrSchemaNewer].
func (db *DB) CheckSchema(ctx context.Context) error {
	var found int64
	if err := db.One(ctx, "SELECT max(version_id) FROM goose_db_version", nil, &found); err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	if found <= db.known {
		return nil
	}
	err := newerSchema(found, db.known)
	db.stop(err, "a newer program moved the database schema on: writing stopped, replace this program", err)
	return err
}

// Stop ends all writing for good, with the reason.
func (db *DB) Stop(reason error) { db.stop(reason, "writing stopped until restart", reason) }

// Stopped gives the reason why nothing is written any more; nil while it is.
func (db *DB) Stopped() error {
	if reason := db.broken.Load(); reason != nil {
		return *reason
	}
	return nil
}

// Clock gives the time of the database server, which replicas share; for SQLite that of this
// machine.
func (db *DB) Clock(ctx context.Context) (time.Time, error) {
	if !db.Shared() {
		return time.Now(), nil
	}
	var micro int64
	if err := db.One(ctx, "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT", nil, &micro); err != nil {
		return time.Time{}, fmt.Errorf("asking the database for its time: %w", err)
	}
	return time.UnixMicro(micro).UTC(), nil
}

// Ahead is how far this clock is ahead of that of the database, negative when behind, at
// least: a database that answers late does not look like a wrong clock, because its time
// lies between question and answer.
func (db *DB) Ahead(ctx context.Context, now func() time.Time) (time.Duration, error) {
	if !db.Shared() {
		return 0, nil
	}
	asked := now()
	at, err := db.Clock(ctx)
	if err != nil {
		return 0, err
	}
	answered := now()
	switch {
	case at.Before(asked):
		return asked.Sub(at), nil
	case at.After(answered):
		return answered.Sub(at), nil
	}
	return 0, nil
}

// Count counts the rows of a table.
func (db *DB) Count(ctx context.Context, table string) (rows int64, err error) {
	err = db.AllWithin(ctx, 10*WorkTimeout, "SELECT count(*) FROM "+quoted(table), nil, func(r *sql.Rows) error { return r.Scan(&rows) })
	return rows, err
}

// Close ends all connections. What was committed is on disk already.
func (db *DB) Close() error {
	err := db.writer.close()
	if db.reader != db.writer {
		if readerErr := db.reader.close(); err == nil {
			err = readerErr
		}
	}
	if err != nil {
		return fmt.Errorf("closing database: %w", err)
	}
	return nil
}
