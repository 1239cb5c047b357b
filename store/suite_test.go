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
	"certportal/internal/test/pgtest"
	"certportal/store"
)

var (
	_ enroll.Store = (*store.DB)(nil)
	_ signin.Store = (*store.DB)(nil)
	_ signin.Store = (*store.DB)(nil)
	_ crl.Lists    = (*store.DB)(nil)
	_ drift.Store  = (*store.DB)(nil)
)

// postgres is started by the first test that needs it.
var postgres pgtest.Server

func TestMain(m *testing.M) {
	code := m.Run()
	postgres.Stop()
	os.Exit(code)
}

// engines are the databases of the suite: how to make an empty one, and how to
// reach it beside the store.
var engines = []struct {
	name    string
	dialect goose.Dialect
	driver  string
	address func(t testing.TB) string
}{
	{"sqlite", goose.DialectSQLite3, "sqlite", func(t testing.TB) string { return filepath.Join(t.TempDir(), "portal.db") }},
	{"postgres", goose.DialectPostgres, "pgx", func(t testing.TB) string { return postgres.Database(t) }},
}

// origins are the states a database may be in when the store first opens it.
var origins = []struct {
	name    string
	prepare func(t testing.TB, dialect goose.Dialect, db *sql.DB)
}{
	{"empty", func(testing.TB, goose.Dialect, *sql.DB) {}},
	{"oldest schema", func(t testing.TB, dialect goose.Dialect, db *sql.DB) {
		if _, err := migrations(t, dialect, db).UpTo(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}},
}

func migrations(t testing.TB, dialect goose.Dialect, db *sql.DB) *goose.Provider {
	t.Helper()
	folder := map[goose.Dialect]string{goose.DialectSQLite3: "sqlite", goose.DialectPostgres: "postgres"}[dialect]
	provider, err := goose.NewProvider(dialect, db, os.DirFS(filepath.Join("migrations", folder)))
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// fixture is an open store and a plain connection to the same database.
type fixture struct {
	*store.DB
	plain   *sql.DB
	address string
	dialect goose.Dialect
}

// onBoth runs a test on both engines, from both origins.
func onBoth(t *testing.T, test func(t *testing.T, db *fixture)) {
	for _, engine := range engines {
		for _, origin := range origins {
			t.Run(engine.name+"/"+origin.name, func(t *testing.T) {
				address := engine.address(t)
				plain := plainly(t, engine.driver, address)
				origin.prepare(t, engine.dialect, plain)
				test(t, &fixture{DB: opened(t, address), plain: plain, address: address, dialect: engine.dialect})
			})
		}
	}
}

func plainly(t testing.TB, driver, address string) *sql.DB {
	t.Helper()
	if driver == "sqlite" {
		// Made as the store makes it, whichever of the two comes first.
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
	db, err := store.Open(context.Background(), store.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
