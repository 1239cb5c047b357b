package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// snapshotPostgres begins a transaction that sees one moment.
func (db *DB) snapshotPostgres(ctx context.Context, blank Blank) (*Snapshot, error) {
	conn, err := db.writer.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s := &Snapshot{Engine: Postgres, reader: tx, conn: conn, blank: blank, close: func() error {
		err := tx.Rollback()
		if errors.Is(err, sql.ErrTxDone) {
			err = nil
		}
		return errors.Join(err, conn.Close())
	}}
	if err := s.One(ctx, "SELECT max(version_id) FROM "+versions, &s.Schema); err != nil {
		return nil, errors.Join(fmt.Errorf("reading schema version: %w", err), s.Close())
	}
	if s.Tables, err = postgresTables(ctx, tx); err != nil {
		return nil, errors.Join(fmt.Errorf("reading tables: %w", err), s.Close())
	}
	return s, nil
}

// tablesOf reads the tables and columns that a query lists in their order.
func tablesOf(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]Table, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var found []Table
	err = each(rows, func(rows *sql.Rows) error {
		var table, column string
		err := rows.Scan(&table, &column)
		if len(found) == 0 || found[len(found)-1].Name != table {
			found = append(found, Table{Name: table})
		}
		last := &found[len(found)-1]
		last.Columns = append(last.Columns, column)
		return err
	})
	return found, err
}

// postgresTables lists the tables with their columns, each after those it refers to.
func postgresTables(ctx context.Context, tx *sql.Tx) ([]Table, error) {
	found, err := tablesOf(ctx, tx, `SELECT t.table_name, c.column_name FROM information_schema.tables t
		JOIN information_schema.columns c USING (table_schema, table_name)
		WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND c.is_generated = 'NEVER' AND table_name <> $1
		ORDER BY t.table_name, c.ordinal_position`, versions)
	if err != nil {
		return nil, err
	}
	refers, err := references(ctx, tx)
	if err != nil {
		return nil, err
	}
	return sortByReference(found, refers)
}

// references gives the tables that a table refers to, without itself.
func references(ctx context.Context, tx *sql.Tx) (map[string][]string, error) {
	refers := make(map[string][]string)
	rows, err := tx.QueryContext(ctx, `SELECT a.relname, b.relname FROM pg_constraint f
		JOIN pg_class a ON a.oid = f.conrelid JOIN pg_class b ON b.oid = f.confrelid
		JOIN pg_namespace n ON n.oid = a.relnamespace
		WHERE f.contype = 'f' AND a.oid <> b.oid AND n.nspname = current_schema()`)
	if err != nil {
		return nil, err
	}
	err = each(rows, func(rows *sql.Rows) error {
		var from, to string
		err := rows.Scan(&from, &to)
		refers[from] = append(refers[from], to)
		return err
	})
	return refers, err
}

func sortByReference(tables []Table, refers map[string][]string) ([]Table, error) {
	var sorted []Table
	done := make(map[string]bool)
	for len(sorted) < len(tables) {
		before := len(sorted)
		for _, t := range tables {
			if !done[t.Name] && !slices.ContainsFunc(refers[t.Name], func(to string) bool { return !done[to] }) {
				sorted, done[t.Name] = append(sorted, t), true
			}
		}
		if len(sorted) == before {
			return nil, errors.New("tables refer to each other in a circle")
		}
	}
	return sorted, nil
}

// copyOut copies a table through the connection of a snapshot. The server does not send
// what is in the blank columns.
func copyOut(ctx context.Context, conn *sql.Conn, t Table, blank []string, w io.Writer) (rows int64, err error) {
	from := quoted(t.Name) + " (" + quotedList(t.Columns) + ")"
	if len(blank) > 0 {
		values := make([]string, len(t.Columns))
		for i, name := range t.Columns {
			values[i] = quoted(name)
			if slices.Contains(blank, name) {
				values[i] = "NULL"
			}
		}
		from = "(SELECT " + strings.Join(values, ", ") + " FROM " + quoted(t.Name) + ")"
	}
	err = conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return errors.ErrUnsupported
		}
		tag, err := c.Conn().PgConn().CopyTo(ctx, w, "COPY "+from+" TO STDOUT")
		rows = tag.RowsAffected()
		return err
	})
	return rows, err
}

// quoted is a name in a statement of either engine.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

func quotedList(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = quoted(name)
	}
	return strings.Join(all, ", ")
}
