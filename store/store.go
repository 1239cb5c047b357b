// Package store keeps everything the portal must not forget in one SQL database:
// devices, certificates and what the drift watch noticed of them, sealed pickups,
// the ledger, revocation lists, sign-in tries, sessions, hand-offs, invitations
// and the accounts of the built-in directory.
//
// There are two engines, SQLite in a file and PostgreSQL, and one SQL text for
// both: the dialect shows only in the migrations and where a database is opened.
// One exported method is one transaction, and the ledger entry of an act is part
// of its transaction: either both are there or neither.
//
// The store refuses what would break a promise, whoever asks: a second
// certificate for the same key or serial (RFC 5280 section 4.1.2.2), a completed
// certificate that was not reserved, a change of anything revoked, a change of
// the ledger, and a database whose schema is newer than the program. It refuses
// to write what would be lost: to a disk that once failed to keep something, and
// to a SQLite file that was moved or deleted meanwhile.
//
// An act that somebody waits for ends within three seconds, with an error when
// the database is locked or gone; background work and revocation lists have a
// minute. A caller's own deadline holds where it is shorter.
//
// It takes secrets only sealed or hashed by others; sign-in names that are tried
// and tokens of forms are hashed here, because people type passwords into the
// wrong field. Times are kept as milliseconds since 1970 in UTC, so a time comes
// back cut to the millisecond and in UTC, and the zero time as the zero time.
package store

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
)

// Config says which database to open.
type Config struct {
	// URL is "sqlite:" and a path, a bare path, or a postgres:// address as
	// PostgreSQL's own programs take it. The folder of a SQLite file must exist,
	// the file need not.
	URL string

	// Log receives what an operator should know. Optional: nil logs nothing.
	Log *slog.Logger

	// Node names this replica in the ledger. Optional: the name of the host.
	Node string

	// Connections bounds the connections to PostgreSQL. Optional: 10. SQLite
	// takes no notice.
	Connections int
}

// DB is an open database. It is safe for concurrent use, by several processes
// too: replicas on one PostgreSQL, or the portal and a command on one SQLite
// file.
type DB struct {
	engine engine
	writer *pool
	reader *pool
	log    *slog.Logger
	node   string // of this replica, in the ledger

	// broken is set, with the reason, once writes would be lost.
	broken atomic.Pointer[error]
}

// engine is what differs between the databases at run time.
type engine interface {
	// retryable reports errors after which the same transaction may succeed, and
	// of which it is certain that nothing was committed.
	retryable(error) bool

	// duplicate reports a violated unique constraint.
	duplicate(error) bool

	// durabilityLost reports that writes may be lost without another error.
	durabilityLost(error) bool

	// intact returns errMoved when the database is no longer where the next start
	// would look for it. It is asked twice in each transaction.
	intact() error
}

// Open opens the database, creating the SQLite file where there is none, and
// brings its schema up to date. Replicas that start together migrate once. The
// error never shows a password, and wraps [ErrSchemaNewer] when the database was
// last used by a newer program.
func Open(ctx context.Context, c Config) (*DB, error) {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	open := openSQLite
	if isPostgres(c.URL) {
		open = openPostgres
	}
	db, err := open(ctx, c, log)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	if db.node = c.Node; db.node == "" {
		// Without a name either, entries have no node, as before there were nodes.
		db.node, _ = os.Hostname()
	}
	return db, nil
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
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
