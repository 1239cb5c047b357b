package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteReaders is how many connections read beside the one that writes. Reading
// on the writing connection instead takes half as long again under load.
const sqliteReaders = 4

const (
	// busyTimeout is how long SQLite itself waits for the lock of another
	// process, well below the time an act may take.
	busyTimeout = time.Second

	// migrationBusyTimeout lets another process finish its migration first.
	migrationBusyTimeout = 5 * time.Second
)

// openSQLite opens one connection for writing, because SQLite has one write
// lock and waiting in our queue is fairer than its polling, and a few that
// read. Readers see what was committed when their statement began.
func openSQLite(ctx context.Context, c Config) (*DB, error) {
	path, err := sqlitePath(c.URL)
	if err != nil {
		return nil, err
	}
	created, err := prepareFile(ctx, path, c)
	if err != nil {
		return nil, err
	}
	writer, err := openFile(ctx, path, false, busyTimeout)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	reader, err := openFile(ctx, path, true, busyTimeout)
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("opening %s for reading: %w", path, err)
	}
	engine := sqliteEngine{path: path, opened: created}
	return &DB{engine: engine, writer: newPool(writer, true), reader: newPool(reader, true)}, nil
}

// prepareFile makes the file where there is none and brings its schema up to date; one that
// is opened as it is stays so.
func prepareFile(ctx context.Context, path string, c Config) (fs.FileInfo, error) {
	if c.AsIs {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		db, err := openLook(path)
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", path, err)
		}
		defer db.Close()
		return info, sqliteDialect().compareSchema(ctx, db, c)
	}
	info, err := createFile(path, c.Log)
	if err != nil {
		return nil, err
	}
	if err := migrateFile(ctx, path, c.Schema); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return info, nil
}

func sqlitePath(address string) (string, error) {
	path := strings.TrimPrefix(address, "sqlite:")
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.Contains(path, ":memory:") || strings.Contains(path, "://") {
		return "", errors.New("database address is neither a path, sqlite:PATH nor postgres://…")
	}
	return filepath.Abs(path)
}

// createFile makes the file before SQLite does, because SQLite would let other
// accounts read it; SQLite gives its journal the mode of the file. It returns which
// file that is, new or existing.
func createFile(path string, log *slog.Logger) (fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		log.Warn("database file is open to other accounts of this machine", "path", path, "mode", info.Mode().Perm().String())
	}
	return info, nil
}

func openFile(ctx context.Context, path string, readOnly bool, busy time.Duration) (*sql.DB, error) {
	settings := url.Values{
		"mode":       {"rw"},        // a connection made anew never makes an empty file
		"_txlock":    {"immediate"}, // a deferred transaction that turns to writing late can only fail
		"_dqs":       {"0"},
		"_defensive": {"1"},
		"_error_rc":  {"1"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
			"foreign_keys(1)", "trusted_schema(0)", "cell_size_check(1)"},
	}
	connections := sqliteReaders
	if readOnly {
		settings.Add("_pragma", "query_only(1)")
	} else {
		connections = 1
		settings["_pragma"] = append(settings["_pragma"],
			"journal_mode(WAL)",
			// NORMAL would lose the last commits with the power.
			"synchronous(FULL)",
			// Wiped pickups leave zeros in the file, not a free page.
			"secure_delete(1)",
			"journal_size_limit(67108864)")
	}
	db, err := sql.Open("sqlite", fileAddress(path, settings))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := checkJournal(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// openLook opens a file for reading, in any journal mode.
func openLook(path string) (*sql.DB, error) {
	return sql.Open("sqlite", fileAddress(path, url.Values{
		"mode": {"rw"}, "_defensive": {"1"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "query_only(1)", "trusted_schema(0)", "cell_size_check(1)"},
	}))
}

// fileAddress is the address of a file for the driver.
func fileAddress(path string, settings url.Values) string {
	return "file://" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + settings.Encode()
}

// checkJournal makes sure of the journal: where the file system cannot share
// memory, as on network drives, SQLite silently falls back to another one.
func checkJournal(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("write-ahead journal is not available here (journal mode %s); a network drive?", mode)
	}
	return nil
}

// migrateFile has connections of its own, which wait longer.
func migrateFile(ctx context.Context, path string, schema fs.FS) error {
	db, err := openNew(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()
	return migrateSQLite(ctx, db, schema)
}

// openNew opens a file that may be empty. Of several programs that create its journal
// at the same time, SQLite refuses all but one, without waiting.
func openNew(ctx context.Context, path string) (*sql.DB, error) {
	for try := 1; ; try++ {
		db, err := openFile(ctx, path, false, migrationBusyTimeout)
		if err == nil || try == maxTransactionTries || !(sqliteEngine{}).retryable(err) || !pause(ctx, try) {
			return db, err
		}
	}
}

func migrateSQLite(ctx context.Context, db *sql.DB, schema fs.FS) error {
	provider, err := sqliteDialect().provider(db, schema)
	if err != nil {
		return err
	}
	// Two programs that open one file both try. One of them finds the tables of the
	// other, rolls back, and sees at the next try that the step is done; that may
	// happen at every step.
	err = migrate(ctx, provider)
	for range provider.ListSources() {
		if final(err) || ctx.Err() != nil {
			break
		}
		err = migrate(ctx, provider)
	}
	return err
}

// Checkpoint brings what was committed from the write-ahead journal into the file of SQLite,
// and empties the journal. With PostgreSQL it does nothing.
func (db *DB) Checkpoint(ctx context.Context) error {
	if db.Shared() {
		return nil
	}
	var busy, left, moved int
	err := db.writer.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &left, &moved)
	if err == nil && busy != 0 {
		err = errors.New("the database is being read")
	}
	if err != nil {
		return fmt.Errorf("emptying write-ahead journal: %w", err)
	}
	return nil
}

// sqliteEngine judges errors of modernc.org/sqlite by their extended codes.
type sqliteEngine struct {
	path   string
	opened fs.FileInfo
}

// intact compares the file at the path with the one that was opened: SQLite goes
// on writing into a file that has lost its name, and all of it would be gone at
// the next start.
func (e sqliteEngine) intact() error {
	found, err := os.Stat(e.path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !os.SameFile(found, e.opened)) {
		return errMoved
	}
	if err != nil {
		return fmt.Errorf("looking for database file: %w", err)
	}
	return nil
}

func (sqliteEngine) retryable(err error) bool {
	code := sqliteCode(err) & 0xff
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

// away has nothing to wait for: a file is there or not.
func (sqliteEngine) away(error) bool { return false }

// doubts is none: a commit is on the disk or fails.
func (sqliteEngine) doubts() uint64 { return 0 }

func (sqliteEngine) duplicate(err error) bool {
	code := sqliteCode(err)
	return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

func (sqliteEngine) durabilityLost(err error) bool {
	code := sqliteCode(err)
	return code == sqlite3.SQLITE_IOERR_FSYNC || code == sqlite3.SQLITE_IOERR_DIR_FSYNC
}

func sqliteCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code()
}
