package sqldb_test

import (
	"path/filepath"
	"testing"

	"certportal/internal/test/testkit"
	"certportal/store/sqldb"
)

// Where a database is, is said without user and password.
func TestPlace(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://portal:secret@db.corp.example/records?sslmode=prefer":   "db.corp.example:5432/records",
		"postgres://portal@a,b:5433/records?password=secret&sslmode=prefer": "a:5432,b:5433/records",
		"postgresql:///records?host=/run/postgresql&user=portal":            "/run/postgresql:5432/records",
		"sqlite:/var/lib/certportal/new.db":                                 filepath.FromSlash("/var/lib/certportal/new.db"),
	} {
		testkit.Equal(t, address, testkit.Must(sqldb.Place(address))(t), want)
	}
}
