package sqldb

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
)

// ErrOthers says that other programs are connected to a database.
var ErrOthers = errors.New("other programs are connected to the database")

// Frozen is a database in which nothing is recorded until it is closed. It shows one moment.
type Frozen struct {
	Engine string
	Schema int64
	Tables []Table // with their columns, each after those it refers to; rows after Rows

	address string
	db      *sql.DB
	tx      *sql.Tx
}

// Freeze takes the lock on a table that every act writes, after those under way have ended.
// On SQLite nothing at all is written then. A PostgreSQL database that others are connected
// to is an error that wraps [ErrOthers].
func Freeze(ctx context.Context, address, table string) (f *Frozen, err error) {
	f = &Frozen{Engine: SQLite, address: address}
	if isPostgres(address) {
		f.Engine = Postgres
		err = f.freezeServer(ctx, table)
	} else {
		err = f.freezeFile(ctx)
	}
	if err == nil {
		err = f.tx.QueryRowContext(ctx, maxVersion).Scan(&f.Schema)
	}
	if err != nil {
		return nil, errors.Join(redact(err, address), f.Close())
	}
	return f, nil
}

func (f *Frozen) freezeFile(ctx context.Context) error {
	path, err := sqlitePath(f.address)
	if err != nil {
		return err
	}
	if f.db, err = openFile(ctx, path, false, migrationBusyTimeout); err != nil {
		return err
	}
	if f.tx, err = f.db.BeginTx(ctx, nil); err != nil {
		return err
	}
	f.Tables, err = fileTables(ctx, f.tx)
	return err
}

func (f *Frozen) freezeServer(ctx context.Context, table string) error {
	c, err := parseAddress(f.address)
	if err != nil {
		return err
	}
	f.db = stdlib.OpenDB(*c)
	f.db.SetMaxOpenConns(1)
	if f.tx, err = f.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead}); err != nil {
		return err
	}
	// The lock before the first look, which decides what the transaction sees.
	if _, err := f.tx.ExecContext(ctx, "LOCK TABLE "+quoted(table)+" IN EXCLUSIVE MODE"); err != nil {
		return err
	}
	if err := f.alone(ctx); err != nil {
		return err
	}
	f.Tables, err = postgresTables(ctx, f.tx)
	return err
}

// alone refuses other clients. One that was closed just now may still be ending.
func (f *Frozen) alone(ctx context.Context) error {
	for try := 1; ; try++ {
		var others int
		_, err := f.tx.ExecContext(ctx, "SELECT pg_stat_clear_snapshot()")
		if err == nil {
			err = f.tx.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL`).Scan(&others)
		}
		if err != nil || others == 0 {
			return err
		}
		if try == maxTransactionTries || !pause(ctx, try) {
			return fmt.Errorf("%w (%d): stop all portals first", ErrOthers, others)
		}
	}
}

// fileTables lists the tables of a SQLite file with their columns, each after those it refers
// to.
func fileTables(ctx context.Context, tx *sql.Tx) ([]Table, error) {
	found, err := tablesOf(ctx, tx, `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite~_%' ESCAPE '~' AND m.name <> $1 ORDER BY m.name, c.cid`, versions)
	if err != nil {
		return nil, err
	}
	refers := make(map[string][]string)
	rows, err := tx.QueryContext(ctx, `SELECT m.name, f."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) f
		WHERE m.type = 'table' AND m.name <> f."table"`)
	if err != nil {
		return nil, err
	}
	err = each(rows, func(rows *sql.Rows) error {
		var from, to string
		err := rows.Scan(&from, &to)
		refers[from] = append(refers[from], to)
		return err
	})
	if err != nil {
		return nil, err
	}
	return sortByReference(found, refers)
}

// One reads one row.
func (f *Frozen) One(ctx context.Context, query string, args []any, into ...any) error {
	if err := f.tx.QueryRowContext(ctx, query, args...).Scan(into...); err != nil {
		return redact(err, f.address)
	}
	return nil
}

// Count counts the rows of a table.
func (f *Frozen) Count(ctx context.Context, table string) (rows int64, err error) {
	err = f.One(ctx, "SELECT count(*) FROM "+quoted(table), nil, &rows)
	return rows, err
}

// Exec runs a statement, which takes effect with Commit.
func (f *Frozen) Exec(ctx context.Context, query string, args ...any) error {
	if _, err := f.tx.ExecContext(ctx, query, args...); err != nil {
		return redact(err, f.address)
	}
	return nil
}

// Rows gives each row of a table to take, and counts them. The values are good until take
// returns.
func (f *Frozen) Rows(ctx context.Context, t *Table, take func(values []any) error) error {
	rows, err := f.tx.QueryContext(ctx, "SELECT "+quotedList(t.Columns)+" FROM "+quoted(t.Name))
	if err != nil {
		return redact(err, f.address)
	}
	values, into := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i := range values {
		into[i] = &values[i]
	}
	t.Rows = 0
	err = each(rows, func(rows *sql.Rows) error {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		t.Rows++
		return take(values)
	})
	if err != nil {
		return redact(fmt.Errorf("copying table %s: %w", t.Name, err), f.address)
	}
	return nil
}

// Text writes the rows of a table in the text format of COPY of PostgreSQL.
func (f *Frozen) Text(ctx context.Context, t *Table, w io.Writer) error {
	var line []byte
	return f.Rows(ctx, t, func(values []any) (err error) {
		if line, err = appendLine(line[:0], values); err != nil {
			return err
		}
		_, err = w.Write(line)
		return err
	})
}

// appendLine appends a row in the text format of COPY.
func appendLine(line []byte, values []any) ([]byte, error) {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	for i, value := range values {
		if i > 0 {
			line = append(line, '\t')
		}
		switch v := value.(type) {
		case nil:
			line = append(line, `\N`...)
		case int64:
			line = strconv.AppendInt(line, v, 10)
		case bool:
			line = strconv.AppendBool(line, v)
		case string:
			line = append(line, escape.Replace(v)...)
		case []byte:
			line = hex.AppendEncode(append(line, `\\x`...), v)
		default:
			return nil, fmt.Errorf("a value has the unknown type %T", value)
		}
	}
	return append(line, '\n'), nil
}

// Commit keeps what Exec did.
func (f *Frozen) Commit() error {
	if err := f.tx.Commit(); err != nil {
		return redact(fmt.Errorf("committing: %w", err), f.address)
	}
	return nil
}

// Close lets others record again. What Exec did without Commit has no effect.
func (f *Frozen) Close() error {
	if f.db == nil {
		return nil
	}
	if f.tx != nil {
		if err := f.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
			return errors.Join(redact(err, f.address), f.db.Close())
		}
	}
	return f.db.Close()
}
