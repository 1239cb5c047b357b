package pgtest_test

import (
	"database/sql"
	"testing"

	"certportal/internal/test/pgtest"
)

func TestDatabasesAreEmptyAndApart(t *testing.T) {
	var server pgtest.Server
	t.Cleanup(server.Stop)
	for range 2 { // the second round gets the databases of the first
		t.Run("round", func(t *testing.T) {
			for _, address := range []string{server.Database(t), server.Database(t)} {
				db, err := sql.Open("pgx", address)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.Exec("CREATE TABLE mine (n INTEGER)"); err != nil {
					t.Errorf("making a table in a fresh database: %v", err)
				}
			}
		})
	}
}
