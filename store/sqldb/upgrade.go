package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"certportal/internal/durable"
)

// Versions are the versions of a schema: that of a database, 0 when it has none yet, and the
// newest of this program.
type Versions struct {
	Found int64 `json:"found"`
	Known int64 `json:"known"`
}

// Behind reports a schema that this program would bring up to date.
func (v Versions) Behind() bool { return v.Found > 0 && v.Found < v.Known }

// VersionsOf looks at the schema of a database and changes nothing. A version from before the
// first file is an error that wraps [ErrSchemaOlder].
func VersionsOf(ctx context.Context, address string, schema fs.FS) (v Versions, err error) {
	d, read := sqliteDialect(), fileVersion
	if isPostgres(address) {
		d, read = postgresDialect(), serverVersion
	}
	if v.Known, err = d.newest(schema); err == nil {
		v.Found, err = read(ctx, address)
	}
	if err == nil {
		err = d.refuseBefore(schema, v.Found)
	}
	if err != nil {
		return v, fmt.Errorf("reading schema version: %w", err)
	}
	return v, nil
}

// refuseBefore refuses a version from before the first file.
func (d dialect) refuseBefore(schema fs.FS, found int64) error {
	first, err := d.oldest(schema)
	if err == nil && found > 0 && found < first {
		err = olderSchema(found, first)
	}
	return err
}

// fileVersion reads the version of a SQLite file; 0 when there is none.
func fileVersion(ctx context.Context, address string) (version int64, err error) {
	path, err := sqlitePath(address)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	db, err := openLook(path)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var tables int
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE name = $1", versions).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	return versionIn(db.QueryRowContext(ctx, maxVersion))
}

// Look reads one row of a database that is there, and changes nothing.
func Look(ctx context.Context, address, query string, args []any, into ...any) error {
	if isPostgres(address) {
		conn, err := connect(ctx, address)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if err := conn.QueryRow(ctx, query, args...).Scan(into...); err != nil {
			return redact(err, address)
		}
		return nil
	}
	path, err := sqlitePath(address)
	if err != nil {
		return err
	}
	db, err := openLook(path)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.QueryRowContext(ctx, query, args...).Scan(into...)
}

// maxVersion asks for the version of the schema; NULL when none was recorded.
const maxVersion = "SELECT max(version_id) FROM " + versions

func versionIn(row interface{ Scan(into ...any) error }) (int64, error) {
	var version sql.NullInt64
	err := row.Scan(&version)
	return version.Int64, err
}

// serverVersion reads the version of a PostgreSQL database; 0 when it has no schema.
func serverVersion(ctx context.Context, address string) (version int64, err error) {
	conn, err := connect(ctx, address)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var there bool
	err = conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", versions).Scan(&there)
	if err == nil && there {
		version, err = versionIn(conn.QueryRow(ctx, maxVersion))
	}
	if err != nil {
		return 0, redact(err, address)
	}
	return version, nil
}

// connect makes one connection to PostgreSQL.
func connect(ctx context.Context, address string) (*pgx.Conn, error) {
	config, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(address, modeOption) {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // suits poolers
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, redact(fmt.Errorf("connecting: %w", err), address)
	}
	if err := checkEncoding(conn.PgConn().ParameterStatus("server_encoding")); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// LockUpgrade waits until no other program holds the lock of the upgrade of a database, and
// takes it, until release is called or the process ends.
func LockUpgrade(ctx context.Context, address string, log *slog.Logger) (release func() error, err error) {
	if isPostgres(address) {
		release, err = lockServer(ctx, address, log)
	} else {
		release, err = lockBeside(ctx, address, log)
	}
	if err != nil {
		return nil, fmt.Errorf("waiting for the upgrade of another program: %w", err)
	}
	return release, nil
}

// upgradeLock is the advisory lock of an upgrade.
const upgradeLock = 0x6365727475706772

const waiting = "another program upgrades the database: waiting for it"

// lockServer takes a lock of a transaction that stays open: one of a session would get lost
// behind a pooler.
func lockServer(ctx context.Context, address string, log *slog.Logger) (func() error, error) {
	conn, err := connect(ctx, address)
	if err != nil {
		return nil, err
	}
	release := func() error { return conn.Close(context.WithoutCancel(ctx)) }
	take := func() error {
		for _, text := range append([]string{"BEGIN"}, holdOpen()...) {
			if _, err := conn.Exec(ctx, text); err != nil {
				return err
			}
		}
		var taken bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(upgradeLock)).Scan(&taken); err != nil || taken {
			return err
		}
		log.Info(waiting)
		_, err := conn.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(upgradeLock))
		return err
	}
	if err := take(); err != nil {
		return nil, errors.Join(redact(err, address), release())
	}
	return release, nil
}

// lockBeside takes the lock of a file beside that of SQLite, which it removes at the end.
func lockBeside(ctx context.Context, address string, log *slog.Logger) (func() error, error) {
	path, err := sqlitePath(address)
	if err != nil {
		return nil, err
	}
	path += "-upgrade"
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for told := false; ; told = true {
		f, err := tryLock(path)
		if err == nil {
			return func() error { return errors.Join(os.Remove(path), f.Close()) }, nil
		}
		if !errors.Is(err, durable.ErrLocked) {
			return nil, err
		}
		if !told {
			log.Info(waiting)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-look.C:
		}
	}
}

// tryLock locks a file; durable.ErrLocked when another has it, or had it and removed it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = durable.Lock(f)
	if err == nil {
		var own, there fs.FileInfo
		own, err = f.Stat()
		if err == nil {
			there, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(own, there) {
			err = durable.ErrLocked
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// holdOpen keeps PostgreSQL from ending a transaction that holds a lock and waits.
func holdOpen() []string {
	return []string{"SET LOCAL idle_in_transaction_session_timeout = 0", "SET LOCAL lock_timeout = 0", "SET LOCAL statement_timeout = 0"}
}
