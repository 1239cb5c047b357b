package store_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"certportal/internal/test/testkit"
)

// schemaOf describes all that a schema consists of, one line each, and the rows it
// begins with.
func schemaOf(t testing.TB, dialect goose.Dialect, db *sql.DB) []string {
	t.Helper()
	d := schemaDump{t: t, db: db}
	if dialect == goose.DialectSQLite3 {
		d.sqlite()
	} else {
		d.postgres()
	}
	for _, table := range d.tables {
		d.rows(table+" has the row", "SELECT * FROM "+table)
	}
	slices.Sort(d.lines)
	return d.lines
}

type schemaDump struct {
	t      testing.TB
	db     *sql.DB
	tables []string
	lines  []string
}

// rows adds a line for each row of a query.
func (d *schemaDump) rows(about, query string, args ...any) {
	d.t.Helper()
	rows, err := d.db.Query(query, args...)
	if err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns := testkit.Must(rows.Columns())(d.t)
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			d.t.Fatal(err)
		}
		line := about
		for i, value := range values {
			if b, octets := value.([]byte); octets {
				value = fmt.Sprintf("%x", b)
			}
			line += fmt.Sprintf(" %s=%v", columns[i], value)
		}
		d.lines = append(d.lines, line)
	}
	if err := rows.Err(); err != nil {
		d.t.Fatal(err)
	}
}

// texts gives the rows of a query for two texts.
func (d *schemaDump) texts(query string) [][2]string {
	d.t.Helper()
	rows, err := d.db.Query(query)
	if err != nil {
		d.t.Fatal(err)
	}
	defer rows.Close()
	var all [][2]string
	for rows.Next() {
		var row [2]string
		if err := rows.Scan(&row[0], &row[1]); err != nil {
			d.t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

func (d *schemaDump) sqlite() {
	d.rows("table", `SELECT name, type, ncol, wr, strict FROM pragma_table_list
		WHERE schema = 'main' AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`)
	for _, table := range d.texts(`SELECT name, sql FROM sqlite_schema
		WHERE type = 'table' AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`) {
		name := table[0]
		d.tables = append(d.tables, name)
		d.rows(name, fmt.Sprintf("SELECT cid, name, type, [notnull], dflt_value, pk, hidden FROM pragma_table_xinfo('%s')", name))
		d.rows(name+" refers", fmt.Sprintf("SELECT [table], [from], [to], on_update, on_delete, match FROM pragma_foreign_key_list('%s')", name))
		for _, check := range checksOf(table[1]) {
			d.lines = append(d.lines, name+" checks "+check)
		}
		d.rows(name+" is indexed", fmt.Sprintf(`SELECT CASE l.origin WHEN 'c' THEN l.name ELSE '' END AS name, l.[unique], l.origin, l.partial,
			(SELECT group_concat(coalesce(x.name, '?') || ' ' || x.desc || ' ' || x.coll || ' ' || x.key, ', ') FROM pragma_index_xinfo(l.name) x) AS columns
			FROM pragma_index_list('%s') l`, name))
	}
	for _, object := range d.texts("SELECT type || ' ' || name || ' on ' || tbl_name, sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL") {
		d.lines = append(d.lines, object[0]+": "+oneLine(object[1]))
	}
}

func (d *schemaDump) postgres() {
	for _, table := range d.texts(`SELECT relname, relkind::text FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S', 'p', 'm') AND relname NOT LIKE 'goose%'`) {
		d.lines = append(d.lines, "relation "+table[0]+" "+table[1])
		if table[1] == "r" {
			d.tables = append(d.tables, table[0])
		}
	}
	d.rows("column", `SELECT table_name, row_number() OVER (PARTITION BY table_name ORDER BY ordinal_position) AS n, column_name,
		data_type, is_nullable, column_default, collation_name, is_identity, is_generated
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'`)
	// Without the names: those of checks follow the name a table was created under.
	d.rows("constraint", `SELECT conrelid::regclass::text AS t, contype::text AS type, convalidated, condeferrable,
		pg_get_constraintdef(oid) AS definition FROM pg_constraint
		WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'goose%'`)
	d.rows("index", "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%'")
	d.rows("trigger", "SELECT pg_get_triggerdef(oid) AS definition FROM pg_trigger WHERE NOT tgisinternal")
	d.rows("function", "SELECT pg_get_functiondef(oid) AS definition FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
}

// checksOf gives the conditions of the CHECK constraints in the SQL of a table.
func checksOf(table string) []string {
	var checks []string
	for _, at := range regexp.MustCompile(`\bCHECK\s*\(`).FindAllStringIndex(table, -1) {
		depth := 0
		for i := at[1] - 1; i < len(table); i++ {
			switch table[i] {
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth == 0 {
				checks = append(checks, oneLine(table[at[1]-1:i+1]))
				break
			}
		}
	}
	return checks
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
