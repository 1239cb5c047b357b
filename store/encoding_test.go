package store_test

import (
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// A database of another encoding is named as such, by every way that opens it.
func TestDatabaseOfAnotherEncoding(t *testing.T) {
	address := testkit.Must(url.Parse(fixture.EmptyPostgres(t)))(t)
	conn := testkit.Must(pgx.Connect(t.Context(), address.String()))(t)
	defer conn.Close(t.Context())
	name := address.Path[1:] + "_latin1"
	testkit.Must(conn.Exec(t.Context(), "CREATE DATABASE "+name+" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"))(t)
	address.Path = "/" + name
	for what, err := range map[string]error{
		"opening":   second(store.Open(t.Context(), store.Config{URL: address.String()})),
		"upgrading": second(store.PlanUpgrade(t.Context(), address.String())),
	} {
		if err == nil {
			t.Fatalf("%s: no error", what)
		}
		testkit.Contains(t, what, err.Error(), "encoding of the database is LATIN1, want UTF8")
	}
}

func second[T any](_ T, err error) error { return err }
