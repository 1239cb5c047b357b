package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/pressly/goose/v3"
)

// dialect is what the schema files of an engine are written with.
type dialect struct {
	goose goose.Dialect
	name  string // in the names of files for one engine
	words map[string]string

	boolCheck func(column string) string // constraint of a truth value
	isTrue    func(column string) string
}

func sqliteDialect() dialect {
	return dialect{
		goose: goose.DialectSQLite3, name: "sqlite",
		words: map[string]string{
			"int": "INTEGER", "bytes": "BLOB", "bool": "INTEGER", "orderedText": "TEXT", "falseValue": "0",
			"zeroHash": "zeroblob(32)", "strict": " STRICT", "strictWithoutRowID": " STRICT, WITHOUT ROWID",
		},
		boolCheck: func(column string) string { return " CHECK (" + column + " IN (0, 1))" },
		isTrue:    func(column string) string { return "(" + column + " = 1)" },
	}
}

func postgresDialect() dialect {
	return dialect{
		goose: goose.DialectPostgres, name: "postgres",
		words: map[string]string{
			// Prefixes are ranges, which only the order of code points keeps together.
			"int": "BIGINT", "bytes": "BYTEA", "bool": "BOOLEAN", "orderedText": `TEXT COLLATE "C"`, "falseValue": "FALSE",
			"zeroHash": "decode(repeat('00', 32), 'hex')", "strict": "", "strictWithoutRowID": "",
		},
		boolCheck: func(string) string { return "" },
		isTrue:    func(column string) string { return column },
	}
}

// text fills in a schema file.
func (d dialect) text(name, text string) (string, error) {
	words := template.FuncMap{"boolCheck": d.boolCheck, "isTrue": d.isTrue}
	for word, sql := range d.words {
		words[word] = func() string { return sql }
	}
	t, err := template.New(name).Funcs(words).Parse(text)
	if err != nil {
		return "", err
	}
	var filled strings.Builder
	err = t.Execute(&filled, nil)
	return filled.String(), err
}

// provider applies the files of a schema: NNNNN_name.sql, then of the same number
// NNNNN_name.ENGINE.sql, both in one transaction.
func (d dialect) provider(db *sql.DB, schema fs.FS, options ...goose.ProviderOption) (*goose.Provider, error) {
	steps, err := d.steps(schema)
	if err != nil {
		return nil, err
	}
	versions := slices.Sorted(maps.Keys(steps))
	var migrations []*goose.Migration
	for _, version := range versions {
		up := func(ctx context.Context, tx *sql.Tx) error {
			if version == versions[0] {
				if err := refuseOlder(ctx, tx, version); err != nil {
					return err
				}
			}
			return execAll(ctx, tx, steps[version])
		}
		migrations = append(migrations, goose.NewGoMigration(version, &goose.GoFunc{RunTx: up}, nil))
	}
	options = append(options, goose.WithGoMigrations(migrations...), goose.WithDisableGlobalRegistry(true))
	return goose.NewProvider(d.goose, db, nil, options...)
}

// steps reads the SQL of each version, that for both engines first.
func (d dialect) steps(schema fs.FS) (map[int64][]string, error) {
	names, err := fs.Glob(schema, "*.sql")
	if err != nil {
		return nil, err
	}
	// Without the ending, or "00010_schema.sqlite.sql" would come first.
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(strings.TrimSuffix(a, ".sql"), strings.TrimSuffix(b, ".sql"))
	})
	steps := make(map[int64][]string)
	for _, name := range names {
		parts := strings.Split(name, ".")
		if len(parts) == 3 && parts[1] != d.name {
			continue
		}
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading number of schema file %s: %w", name, err)
		}
		file, err := fs.ReadFile(schema, name)
		if err != nil {
			return nil, err
		}
		text, err := d.text(name, string(file))
		if err != nil {
			return nil, fmt.Errorf("reading schema file: %w", err)
		}
		steps[version] = append(steps[version], text)
	}
	return steps, nil
}

func execAll(ctx context.Context, tx *sql.Tx, texts []string) error {
	for _, text := range texts {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// refuseOlder refuses a database whose tables were made by steps from before the
// first one there is now.
func refuseOlder(ctx context.Context, tx *sql.Tx, first int64) error {
	var found int64
	if err := tx.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&found); err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	if found > 0 && found < first {
		return olderSchema(found, first)
	}
	return nil
}

func olderSchema(found, first int64) error {
	return fmt.Errorf("%w: found version %d, the oldest that can be opened is %d", ErrSchemaOlder, found, first)
}

// migrate applies what is missing, then compares the versions. In this order,
// because only applying takes the lock under which the version table is made;
// on a newer schema it finds nothing to apply.
func migrate(ctx context.Context, provider *goose.Provider) error {
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating schema: %w", err)
	}
	found, known, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	if found > known {
		return newerSchema(found, known)
	}
	return nil
}

func newerSchema(found, known int64) error {
	return fmt.Errorf("%w: found version %d, known are versions up to %d", ErrSchemaNewer, found, known)
}

// newest is the version that the files of a schema lead to.
func (d dialect) newest(schema fs.FS) (int64, error) {
	steps, err := d.steps(schema)
	if err != nil {
		return 0, err
	}
	return slices.Max(slices.Collect(maps.Keys(steps))), nil
}

// oldest is the first version that the files of a schema lead to.
func (d dialect) oldest(schema fs.FS) (int64, error) {
	steps, err := d.steps(schema)
	if err != nil {
		return 0, err
	}
	return slices.Min(slices.Collect(maps.Keys(steps))), nil
}

// compareSchema compares the schema of a database with the files and changes nothing. An
// older one is accepted where the configuration says so.
func (d dialect) compareSchema(ctx context.Context, db *sql.DB, c Config) error {
	known, err := d.newest(c.Schema)
	if err != nil {
		return err
	}
	var found int64
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&found); err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	switch {
	case found > known:
		return newerSchema(found, known)
	case found < known && c.Older:
		return d.refuseBefore(c.Schema, found)
	case found < known:
		return fmt.Errorf("%w: found version %d, want %d", ErrSchemaBehind, found, known)
	}
	return nil
}

// final reports errors that another try cannot mend.
func final(err error) bool {
	return err == nil || errors.Is(err, ErrSchemaNewer) || errors.Is(err, ErrSchemaOlder)
}
