package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"

	"certportal/ca/crl"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

var (
	_ enroll.Store = (*store.DB)(nil)
	_ signin.Store = (*store.DB)(nil)
	_ signin.Store = (*store.DB)(nil)
	_ crl.Store    = (*store.DB)(nil)
	_ drift.Store  = (*store.DB)(nil)
)

func TestMain(m *testing.M) { fixture.Main(m) }

// engine is a database of the suite: how to make one without tables or with the
// schema, and how to connect to it beside the store.
type engine struct {
	name    string
	dialect goose.Dialect
	driver  string
	empty   func(t testing.TB) (address string)
	address func(t testing.TB) (address string)
}

var engines = []engine{
	{"sqlite", goose.DialectSQLite3, "sqlite", emptySQLite, fixture.SQLite},
	{"postgres", goose.DialectPostgres, "pgx", fixture.EmptyPostgres, fixture.Postgres},
}

func emptySQLite(t testing.TB) string { return filepath.Join(t.TempDir(), "portal.db") }

// tenSteps are the schema files of development versions before the first release.
func tenSteps(t testing.TB, dialect goose.Dialect, db *sql.DB) *goose.Provider {
	t.Helper()
	folder := map[goose.Dialect]string{goose.DialectSQLite3: "sqlite", goose.DialectPostgres: "postgres"}[dialect]
	return testkit.Must(goose.NewProvider(dialect, db, os.DirFS(filepath.Join("testdata", "migrations", folder))))(t)
}

// database is an open store and a plain connection to the same database.
type database struct {
	*store.DB
	plain   *sql.DB
	address string
	dialect goose.Dialect
}

// onBoth runs a test on both engines at the same time, as they share nothing.
func onBoth(t *testing.T, test func(t *testing.T, db *database)) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			test(t, engine.open(t))
		})
	}
}

// onEach runs a test on one engine after the other: it loads the machine, or measures.
func onEach(t *testing.T, test func(t *testing.T, db *database)) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) { test(t, engine.open(t)) })
	}
}

// open gives the test a store of its own.
func (e engine) open(t testing.TB) *database {
	t.Helper()
	address := e.address(t)
	return &database{DB: opened(t, address), plain: connect(t, e.driver, address), address: address, dialect: e.dialect}
}

func connect(t testing.TB, driver, address string) *sql.DB {
	t.Helper()
	if driver == "sqlite" {
		// With the mode that the store gives it, if it does not exist yet.
		file, err := os.OpenFile(address, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
		address = "file://" + address + "?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func opened(t testing.TB, address string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{URL: address, Secret: fixture.Secret()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
