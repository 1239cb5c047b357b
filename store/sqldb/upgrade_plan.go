package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Plan is what this program would do to a database.
type Plan struct {
	Engine string `json:"engine"`
	Versions
	Steps []Step `json:"steps"` // in their order; none when the schema is up to date
	Size  int64  `json:"size"`  // of the whole database, in bytes
}

// Step is one step of the schema, which runs in one transaction.
type Step struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Work    []Work `json:"work"` // on tables that are there already
}

// Work is a statement that touches a table.
type Work struct {
	Table string `json:"table"`
	Kind  string `json:"kind"` // of the constants below
	Rows  int64  `json:"rows"` // of the table; with PostgreSQL an estimate of the server
	Size  int64  `json:"size"` // of the table with its indexes; 0 with SQLite
}

// Kinds of work.
const (
	WorkIndex  = "index"  // reads all rows, and keeps writers away as long
	WorkAlter  = "alter"  // of the description of a table only
	WorkRows   = "rows"   // changes or copies rows
	WorkRemove = "remove" // drops the table
	WorkGuard  = "guard"  // adds a trigger
)

// PlanOf looks what this program would do to a database and changes nothing.
func PlanOf(ctx context.Context, address string, schema fs.FS) (p Plan, err error) {
	p.Engine = SQLite
	d, look := sqliteDialect(), lookAtFile
	if isPostgres(address) {
		p.Engine, d, look = Postgres, postgresDialect(), lookAtServer
	}
	if p.Versions, err = VersionsOf(ctx, address, schema); err != nil {
		return p, err
	}
	if p.Found > p.Known {
		return p, newerSchema(p.Found, p.Known)
	}
	steps, err := d.steps(schema)
	if err != nil {
		return p, err
	}
	names, err := stepNames(schema)
	if err != nil {
		return p, err
	}
	made := map[string]bool{} // by the steps themselves
	for _, v := range slices.Sorted(maps.Keys(steps)) {
		if v > p.Found {
			p.Steps = append(p.Steps, Step{v, names[v], workOf(strings.Join(steps[v], "\n"), made)})
		}
	}
	if p.Found == 0 {
		return p, nil
	}
	if err := look(ctx, address, &p); err != nil {
		return p, fmt.Errorf("reading sizes of tables: %w", err)
	}
	return p, nil
}

// stepNames are the names of the files of each version.
func stepNames(schema fs.FS) (map[int64]string, error) {
	files, err := fs.Glob(schema, "*.sql")
	names := make(map[int64]string)
	for _, f := range files {
		var version int64
		if _, err := fmt.Sscanf(f, "%d_", &version); err != nil {
			return nil, err
		}
		_, rest, _ := strings.Cut(f, "_")
		names[version], _, _ = strings.Cut(rest, ".")
	}
	return names, err
}

// workOf finds the work of a step on tables that it and earlier ones did not make.
func workOf(text string, made map[string]bool) []Work {
	var work []Work
	add := func(table, kind string) {
		if w := (Work{Table: table, Kind: kind}); !made[table] && !slices.Contains(work, w) {
			work = append(work, w)
		}
	}
	text = regexp.MustCompile(`--[^\n]*`).ReplaceAllString(text, "")
	statements := regexp.MustCompile(`(?m)^\s*(?:(CREATE TABLE)|CREATE (?:UNIQUE )?(INDEX) \w+ ON|(ALTER) TABLE|(UPDATE)|(INSERT) INTO|(DROP) TABLE|CREATE (TRIGGER) \w+[\w\s,]*? ON) (\w+)`)
	for _, m := range statements.FindAllStringSubmatch(text, -1) {
		table := m[len(m)-1]
		switch strings.Join(m[1:len(m)-1], "") {
		case "CREATE TABLE":
			made[table] = true
		case "INDEX":
			add(table, WorkIndex)
		case "ALTER":
			add(table, WorkAlter)
		case "UPDATE", "INSERT":
			add(table, WorkRows)
		case "DROP":
			add(table, WorkRemove)
		case "TRIGGER":
			add(table, WorkGuard)
		}
	}
	return work
}

// each calls do for all work.
func (p *Plan) each(do func(w *Work) error) error {
	for s := range p.Steps {
		for w := range p.Steps[s].Work {
			if err := do(&p.Steps[s].Work[w]); err != nil {
				return err
			}
		}
	}
	return nil
}

func lookAtFile(ctx context.Context, address string, p *Plan) error {
	path, err := sqlitePath(address)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	p.Size = info.Size()
	db, err := openLook(path)
	if err != nil {
		return err
	}
	defer db.Close()
	return p.each(func(w *Work) error {
		return db.QueryRowContext(ctx, "SELECT count(*) FROM "+quoted(w.Table)).Scan(&w.Rows)
	})
}

func lookAtServer(ctx context.Context, address string, p *Plan) error {
	conn, err := connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&p.Size)
	if err == nil {
		err = p.each(func(w *Work) error {
			var size sql.NullInt64
			err := conn.QueryRow(ctx, `SELECT greatest(c.reltuples, s.n_live_tup, 0)::BIGINT, pg_total_relation_size(c.oid)
				FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = to_regclass($1)`, quoted(w.Table)).Scan(&w.Rows, &size)
			w.Size = size.Int64
			return err
		})
	}
	if err != nil {
		return redact(err, address)
	}
	return nil
}
