package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The names of the engines in a [Snapshot].
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// versions is the table with the versions of the schema; no snapshot lists it.
const versions = "goose_db_version"

// Table is one table of a snapshot.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns,omitempty"` // in the order of the rows; PostgreSQL only
	Rows    int64    `json:"rows"`
}

// Snapshot is a whole database as it was at one moment, while others go on writing.
type Snapshot struct {
	Engine string
	Schema int64 // version

	// Tables are in an order in which each refers to earlier ones only. Those of PostgreSQL
	// have their number of rows after CopyTable.
	Tables []Table

	// File is the copy of a SQLite database, gone after Close; empty with PostgreSQL.
	File string

	reader interface {
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	conn  *sql.Conn // of PostgreSQL
	blank Blank     // of PostgreSQL
	close func() error
}

// Blank names columns, by table, that are NULL in every row of a snapshot.
type Blank map[string][]string

// Snapshot takes a snapshot, which the caller closes. That of SQLite is a file of its own in
// the folder, without what was deleted; that of PostgreSQL is a transaction that stays open.
// Neither gives out what is in the blank columns.
func (db *DB) Snapshot(ctx context.Context, folder string, blank Blank) (s *Snapshot, err error) {
	if e, ok := db.engine.(sqliteEngine); ok {
		s, err = copySQLite(ctx, e.path, folder, blank)
	} else {
		s, err = db.snapshotPostgres(ctx, blank)
	}
	if err != nil {
		return nil, fmt.Errorf("taking snapshot of database: %w", err)
	}
	return s, nil
}

// One reads one row of the snapshot.
func (s *Snapshot) One(ctx context.Context, query string, into ...any) error {
	return s.reader.QueryRowContext(ctx, query).Scan(into...)
}

// CopyTable writes the rows of a table of PostgreSQL in the text format of COPY, one line
// each, and counts them.
func (s *Snapshot) CopyTable(ctx context.Context, t *Table, w io.Writer) (err error) {
	t.Rows, err = copyOut(ctx, s.conn, *t, s.blank[t.Name], w)
	if err != nil {
		return fmt.Errorf("copying table %s: %w", t.Name, err)
	}
	return nil
}

// Close ends the snapshot and removes its file.
func (s *Snapshot) Close() error { return s.close() }

// copySQLite writes the copy of a SQLite file into a new file, through a connection of its
// own: writers are not kept waiting.
func copySQLite(ctx context.Context, path, folder string, blank Blank) (*Snapshot, error) {
	// Made here, because SQLite would let other accounts read it.
	made, err := os.CreateTemp(folder, CopyPrefix+"*.db")
	if err != nil {
		return nil, err
	}
	file := made.Name()
	err = made.Close()
	if err == nil {
		err = vacuumInto(ctx, path, file)
	}
	if err == nil {
		err = blankFile(ctx, file, blank)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(file))
	}
	db, err := openCopy(file)
	if err != nil {
		return nil, errors.Join(err, os.Remove(file))
	}
	s := &Snapshot{Engine: SQLite, File: file, reader: db, close: func() error { return errors.Join(db.Close(), os.Remove(file)) }}
	if s.Schema, s.Tables, err = contentOf(ctx, db); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// CopyPrefix begins the names of copies of SQLite files. What a killed process left of them
// may be removed.
const CopyPrefix = ".certportal-copy-"

func vacuumInto(ctx context.Context, path, file string) error {
	db, err := openFile(ctx, path, false, migrationBusyTimeout)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", file)
	return errors.Join(err, db.Close())
}

// blankFile overwrites columns in the copy of a SQLite file with zeros, also on pages that
// become free: these rows only shrink, so no other page gets a part of them.
func blankFile(ctx context.Context, file string, blank Blank) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", fileAddress(path, map[string][]string{
		"mode": {"rw"}, "_defensive": {"1"}, "_pragma": {"secure_delete(1)", "journal_mode(MEMORY)", "synchronous(OFF)", "trusted_schema(0)"},
	}))
	if err != nil {
		return err
	}
	for table, columns := range blank {
		for _, c := range columns {
			var there bool // an older schema may not have it
			err := db.QueryRowContext(ctx, "SELECT count(*) > 0 FROM pragma_table_info($1) WHERE name = $2", table, c).Scan(&there)
			if err == nil && there {
				_, err = db.ExecContext(ctx, "UPDATE "+quoted(table)+" SET "+quoted(c)+" = NULL WHERE "+quoted(c)+" IS NOT NULL")
			}
			if err != nil {
				return errors.Join(fmt.Errorf("blanking %s of %s: %w", c, table, err), db.Close())
			}
		}
	}
	return db.Close()
}

// openCopy opens a SQLite file that no program writes, and leaves no file beside it.
func openCopy(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return sql.Open("sqlite", fileAddress(path, map[string][]string{
		"mode": {"ro"}, "immutable": {"1"}, "_defensive": {"1"}, "_pragma": {"query_only(1)", "trusted_schema(0)", "cell_size_check(1)"},
	}))
}

// contentOf reads the version of the schema and counts the rows of all tables.
func contentOf(ctx context.Context, db *sql.DB) (schema int64, tables []Table, err error) {
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM "+versions).Scan(&schema); err != nil {
		return 0, nil, fmt.Errorf("reading schema version: %w", err)
	}
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name <> ? ORDER BY name", versions)
	if err != nil {
		return 0, nil, err
	}
	err = each(rows, func(rows *sql.Rows) error {
		tables = append(tables, Table{})
		return rows.Scan(&tables[len(tables)-1].Name)
	})
	if err != nil {
		return 0, nil, err
	}
	for i := range tables {
		err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+quoted(tables[i].Name)).Scan(&tables[i].Rows)
		if err != nil {
			return 0, nil, fmt.Errorf("counting rows of %s: %w", tables[i].Name, err)
		}
	}
	return schema, tables, nil
}

// damageWithin is how long the pages of a database may take to be checked.
const damageWithin = time.Hour

// CheckPages checks the pages, indexes and references of a SQLite database that is in use. A
// database of PostgreSQL is left to the tools of its server.
func (db *DB) CheckPages(ctx context.Context) error {
	if db.Shared() {
		return nil
	}
	found := "ok"
	err := db.AllWithin(ctx, damageWithin, "PRAGMA integrity_check(1)", nil, func(rows *sql.Rows) error { return rows.Scan(&found) })
	if err == nil && found == "ok" {
		err = db.AllWithin(ctx, damageWithin, "PRAGMA foreign_key_check", nil, func(*sql.Rows) error {
			return errors.New("a row refers to one that is not there")
		})
	}
	if err != nil {
		return fmt.Errorf("checking database: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("database is damaged: %s", found)
	}
	return nil
}

// CheckFile checks the pages and references of a copy of a SQLite database, and returns the
// version of its schema and its tables. It changes nothing.
func CheckFile(ctx context.Context, path string) (schema int64, tables []Table, err error) {
	db, err := openCopy(path)
	if err != nil {
		return 0, nil, err
	}
	defer db.Close()
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return 0, nil, fmt.Errorf("checking database: %w", err)
	}
	if found != "ok" {
		return 0, nil, fmt.Errorf("database is damaged: %s", found)
	}
	rows, err := db.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err == nil {
		err = each(rows, func(*sql.Rows) error { return errors.New("a row refers to one that is not there") })
	}
	if err != nil {
		return 0, nil, fmt.Errorf("checking database: %w", err)
	}
	return contentOf(ctx, db)
}
