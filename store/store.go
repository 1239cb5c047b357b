// Package store keeps everything the portal must not forget in one SQL database:
// devices, certificates and what the drift watch noticed of them, encrypted pickups,
// the audit log, revocation lists, sign-in tries, sessions, hand-offs, invitations
// and the accounts of the built-in directory.
//
// One exported method is one transaction, and the audit entry of an act is part of
// its transaction: either both are there or neither.
//
// The store refuses what would break a promise of the portal: a second certificate
// for the same key or serial (RFC 5280 section 4.1.2.2), a completed certificate
// that was not reserved, a change of anything revoked, and a change of the audit
// log. What package sqldb refuses, it refuses too.
//
// Rows that give a right carry an authentication code under the secret of the
// installation ([DB.UseSecret]): those planted in SQL give none.
//
// It takes secrets only encrypted or hashed by the caller; sign-in names that are
// tried and tokens of forms are hashed here, because people type passwords into the
// wrong field. Times are kept as milliseconds since 1970 in UTC, so a time comes
// back cut to the millisecond and in UTC, and the zero time as the zero time.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// migrationFiles are the steps of the schema, forward only, each in a transaction.
// Published files never change: a correction is a new file.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// ErrSchemaNewer says that the database belongs to a newer program. Nothing was
// changed.
var ErrSchemaNewer = sqldb.ErrSchemaNewer

// ErrSchemaOlder says that the database was made by a development version from
// before the first release. Nothing was changed.
var ErrSchemaOlder = sqldb.ErrSchemaOlder

// Config says which database to open.
type Config struct {
	// URL is "sqlite:" and a path, a bare path, or a postgres:// address as
	// PostgreSQL's own programs take it. The folder of a SQLite file must exist,
	// the file need not.
	URL string

	// Log receives what an operator should know. Optional: nil logs nothing.
	Log *slog.Logger

	// Secret is that of the installation, see [DB.UseSecret]. Optional.
	Secret portal.Secret

	// Node names this replica in the audit log. Optional: the name of the host.
	Node string

	// AsIs opens an existing database and changes nothing in it while it opens: an older
	// schema is an error that wraps [sqldb.ErrSchemaBehind].
	AsIs bool

	// Older lets AsIs open an older schema too.
	Older bool

	// Moving opens the source or the target of a move, too: no other may.
	Moving bool

	// Before is called before an older schema is brought up to date, with the database as
	// it is and the version to come, by one program at a time. After an error nothing is
	// changed. Optional.
	Before func(ctx context.Context, old *DB, to int64) error

	// Connections bounds the connections to PostgreSQL. Optional: 10. SQLite
	// ignores it.
	Connections int
}

// DB is an open database. It is safe for concurrent use, by several processes
// too: replicas on one PostgreSQL, or the portal and a command on one SQLite
// file.
//
// Its methods are those of its parts, one for each subject.
type DB struct {
	*base // before the parts' own, so that its methods are not ambiguous
	ACMERecords
	AuditLog
	BuiltInAccounts
	BulkRevocations
	DriftRecords
	Enrolments
	Outbox
	RevocationLists
	Revokers
	Search
	SignInRecords
	Succession
}

// base is what the parts of a DB share.
type base struct {
	*sqldb.DB
	node   string        // of this replica, in the audit log
	secret portal.Secret // authenticates rows

	floods floodGate
}

// The parts of a DB.
type (
	// ACMERecords are the portal's own TLS certificate by ACME, and answers for its server.
	ACMERecords struct{ *base }

	// AuditLog appends to the audit log, and reads and checks it.
	AuditLog struct{ *base }

	// BuiltInAccounts are the accounts of the built-in directory.
	BuiltInAccounts struct{ *base }

	// BulkRevocations are revocations of many certificates, step by step.
	BulkRevocations struct{ *base }

	// DriftRecords is what the drift watch knows of certificate holders.
	DriftRecords struct {
		*base
		lease *drift.Lease // of the watch that writes; nil for no watch
	}

	// Enrolments are devices and their certificates: reserved, issued, picked up,
	// renewed, revoked.
	Enrolments struct{ *base }

	// Outbox is the mail that is to be sent, and what people want to get.
	Outbox struct{ *base }

	// RevocationLists are CRLs, and the revocations that CRLs and OCSP answers give.
	RevocationLists struct{ *base }

	// Revokers are the programs that revoke at CAs which cannot be asked to.
	Revokers struct{ *base }

	// Search finds certificates, devices and people for staff.
	Search struct{ *base }

	// SignInRecords are sign-in attempts, sessions, hand-offs and invitations.
	SignInRecords struct{ *base }

	// Succession is the states of the issuing CAs.
	Succession struct{ *base }
)

// Open opens the database, creating the SQLite file where there is none, and
// brings its schema up to date. Replicas that start together migrate once. The
// error never shows a password, and wraps [ErrSchemaNewer] when the database was
// last used by a newer program, and [ErrSchemaOlder] when by one from before the first
// release.
func Open(ctx context.Context, c Config) (*DB, error) {
	schema, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	if c.Before != nil && !c.AsIs {
		return c.openAfter(ctx, schema)
	}
	db, err := sqldb.Open(ctx, sqldb.Config{
		URL: c.URL, Schema: schema, Log: c.Log, Connections: c.Connections, AsIs: c.AsIs, Older: c.Older,
		NotFound: portal.ErrNotFound, Conflict: portal.ErrConflict,
	})
	if err != nil {
		return nil, err
	}
	node := c.Node
	if node == "" {
		// Without a host name either, entries have no node, as before there were nodes.
		node, _ = os.Hostname()
	}
	if c.Secret.IsZero() {
		c.Secret = ownSecret()
	}
	b := &base{DB: db, node: node, secret: c.Secret}
	if !c.Moving {
		if err := b.checkPlace(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("opening database: %w", err), db.Close())
		}
	}
	return &DB{
		b, ACMERecords{b}, AuditLog{b}, BuiltInAccounts{b}, BulkRevocations{b}, DriftRecords{base: b}, Enrolments{b}, Outbox{b},
		RevocationLists{b}, Revokers{b}, Search{b}, SignInRecords{b}, Succession{b},
	}, nil
}

// openAfter opens the database after Before, where that is due.
func (c Config) openAfter(ctx context.Context, schema fs.FS) (db *DB, err error) {
	plain := c
	plain.Before = nil
	v, err := sqldb.VersionsOf(ctx, c.URL, schema)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	if !v.Behind() {
		return Open(ctx, plain)
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	release, err := sqldb.LockUpgrade(ctx, c.URL, log)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	defer func() {
		if err := release(); err != nil {
			log.Warn("ending the lock of the upgrade", "err", err)
		}
	}()
	// Again: another program may have done all of it meanwhile.
	if v, err = sqldb.VersionsOf(ctx, c.URL, schema); err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	if v.Behind() {
		if err := c.before(ctx, v.Known); err != nil {
			return nil, err
		}
	}
	return Open(ctx, plain)
}

// before opens the database as it is for Before.
func (c Config) before(ctx context.Context, to int64) (err error) {
	as := c
	as.AsIs, as.Older = true, true
	old, err := Open(ctx, as)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	return c.Before(ctx, old, to)
}

// Node is the name of this replica in the audit log.
func (db *base) Node() string { return db.node }
