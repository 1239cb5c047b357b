package sqldb

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"certportal/internal/durable"
)

// Filling is a database that is filled from a [Frozen] one. Until Finish it is no database of
// a portal: a SQLite file has another name, a PostgreSQL database a mark.
type Filling interface {
	// Address opens what was filled.
	Address() string

	// Fill fills it with the newest schema and all rows, in the place of what an earlier,
	// killed try left.
	Fill(ctx context.Context, from *Frozen) error

	// Filled reports whether an earlier try filled it. That it did so to the end, the caller
	// finds out by comparing.
	Filled(ctx context.Context) (bool, error)

	// Finish makes it a database of a portal.
	Finish(ctx context.Context) error
}

// NewFilling looks at the database at an address. One in use is an error that wraps
// [ErrNotEmpty]. The mark is made in the transaction that fills a PostgreSQL database, and
// dropped by Finish.
func NewFilling(ctx context.Context, address string, schema fs.FS, mark Mark) (Filling, error) {
	if isPostgres(address) {
		f := &fillingServer{address: address, schema: schema, mark: mark}
		_, err := f.Filled(ctx)
		return f, err
	}
	path, err := sqlitePath(address)
	if err != nil {
		return nil, err
	}
	for _, file := range []string{path, path + "-wal", path + "-journal"} {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("%w: %s is there", ErrNotEmpty, file), err)
		}
	}
	return &fillingFile{path: path, schema: schema}, nil
}

// Mark is a trigger that keeps everything from being recorded.
type Mark struct{ Trigger, Table, Make string }

// fillingFile fills a file beside its place.
type fillingFile struct {
	path   string
	schema fs.FS
}

func (f *fillingFile) Address() string { return "sqlite:" + f.path + "-filling" }

func (f *fillingFile) Filled(context.Context) (bool, error) {
	_, err := os.Stat(f.path + "-filling")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f *fillingFile) Fill(ctx context.Context, from *Frozen) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(f.path + "-filling" + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	made, err := Open(ctx, Config{URL: f.Address(), Schema: f.schema})
	if err != nil {
		return err
	}
	if err := errors.Join(made.Checkpoint(ctx), made.Close()); err != nil {
		return err
	}
	// Nothing of it counts before it is on disk as a whole.
	db, err := sql.Open("sqlite", fileAddress(f.path+"-filling", url.Values{
		"mode": {"rw"}, "_defensive": {"1"}, "_dqs": {"0"},
		"_pragma": {"journal_mode(MEMORY)", "synchronous(OFF)", "foreign_keys(0)", "trusted_schema(0)", "secure_delete(1)"},
	}))
	if err != nil {
		return err
	}
	err = fillFile(ctx, db, from)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if _, _, err := CheckFile(ctx, f.path+"-filling"); err != nil { // references too
		return err
	}
	return syncFile(f.path + "-filling")
}

func fillFile(ctx context.Context, db *sql.DB, from *Frozen) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing once committed
	for i := range from.Tables {
		t := &from.Tables[i]
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+quoted(t.Name)); err != nil {
			return fmt.Errorf("emptying table %s: %w", t.Name, err)
		}
		places := make([]string, len(t.Columns))
		for i := range places {
			places[i] = "$" + strconv.Itoa(i+1)
		}
		insert, err := tx.PrepareContext(ctx, "INSERT INTO "+quoted(t.Name)+" ("+quotedList(t.Columns)+") VALUES ("+strings.Join(places, ", ")+")")
		if err != nil {
			return fmt.Errorf("filling table %s: %w", t.Name, err)
		}
		err = from.Rows(ctx, t, func(values []any) error {
			_, err := insert.ExecContext(ctx, values...)
			return err
		})
		if err := errors.Join(err, insert.Close()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (f *fillingFile) Finish(context.Context) error {
	if info, err := os.Stat(f.path + "-filling-wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("%s has a part of the database: another program holds it open", info.Name())
	}
	if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%w: %s is there", ErrNotEmpty, f.path), err)
	}
	if err := os.Rename(f.path+"-filling", f.path); err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(f.path))
}

// fillingServer fills a PostgreSQL database in one transaction, which also marks it.
type fillingServer struct {
	address string
	schema  fs.FS
	mark    Mark
}

func (f *fillingServer) Address() string { return f.address }

func (f *fillingServer) Filled(ctx context.Context) (marked bool, err error) {
	conn, err := connect(ctx, f.address)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tables := 0
	err = conn.QueryRow(ctx, `SELECT count(*), (SELECT count(*) > 0 FROM pg_trigger WHERE tgname = $1 AND tgrelid = to_regclass($2))
		FROM information_schema.tables WHERE table_schema = current_schema()`, f.mark.Trigger, f.mark.Table).Scan(&tables, &marked)
	if err != nil {
		return false, redact(err, f.address)
	}
	if tables > 0 && !marked {
		return false, ErrNotEmpty
	}
	return marked, nil
}

func (f *fillingServer) Fill(ctx context.Context, from *Frozen) (err error) {
	marked, err := f.Filled(ctx)
	if err != nil {
		return err
	}
	if marked {
		if err := f.empty(ctx); err != nil {
			return err
		}
	}
	l, err := NewLoad(ctx, f.address, f.schema, from.Schema)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(ctx)) }()
	restore, err := l.dropIndexes(ctx)
	if err != nil {
		return err
	}
	for i := range from.Tables {
		if err := f.copyTable(ctx, l, from, &from.Tables[i]); err != nil {
			return err
		}
	}
	for _, statement := range append(restore, f.mark.Make) {
		if _, err := l.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return l.Commit(ctx)
}

// copyTable writes into a pipe from which the server reads.
func (f *fillingServer) copyTable(ctx context.Context, l *Load, from *Frozen, t *Table) error {
	r, w := io.Pipe()
	read := make(chan error, 1)
	go func() {
		buffered := bufio.NewWriterSize(w, 256<<10)
		err := from.Text(ctx, t, buffered)
		if err == nil {
			err = buffered.Flush()
		}
		read <- err
		w.CloseWithError(err)
	}()
	n, err := l.Table(ctx, *t, r)
	r.CloseWithError(errors.New("the server takes no more"))
	if readErr := <-read; err == nil {
		err = readErr
	}
	if err == nil && n != t.Rows {
		err = fmt.Errorf("table %s got %d of %d rows", t.Name, n, t.Rows)
	}
	return err
}

// empty removes what an earlier try left, which no portal has used.
func (f *fillingServer) empty(ctx context.Context) error {
	return f.inTransaction(ctx, `DO $$ DECLARE t text; BEGIN
		FOR t IN SELECT format('%I', table_name) FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'
		LOOP EXECUTE 'DROP TABLE ' || t || ' CASCADE'; END LOOP;
		FOR t IN SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
		LOOP EXECUTE 'DROP FUNCTION ' || t; END LOOP; END $$`)
}

func (f *fillingServer) Finish(ctx context.Context) error {
	if err := f.inTransaction(ctx, "DROP TRIGGER "+quoted(f.mark.Trigger)+" ON "+quoted(f.mark.Table)); err != nil {
		return err
	}
	return f.inTransaction(ctx, "ANALYZE")
}

func (f *fillingServer) inTransaction(ctx context.Context, statement string) error {
	conn, err := connect(ctx, f.address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, statement); err != nil {
		return redact(err, f.address)
	}
	return nil
}
