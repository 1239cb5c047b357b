package store_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// A certificate of another CA takes the place of its reservation under another serial. Each
// table that refers to serials is moved, or has no row of a reservation: of a table that is
// new here, say which.
func TestTablesThatReferToSerials(t *testing.T) {
	db := fixture.Store(t)
	var tables []string
	err := db.All(t.Context(), "SELECT name, sql FROM sqlite_master WHERE type = 'table'", nil, func(rows *sql.Rows) error {
		var name string
		var text sql.NullString
		err := rows.Scan(&name, &text)
		if strings.Contains(text.String, "REFERENCES certificates") {
			tables = append(tables, name)
		}
		return err
	})
	testkit.NoError(t, err)
	slices.Sort(tables)
	want := []string{
		"agents",             // of the portal's own CA only
		"asked_certificates", // issued ones only
		"certificates",       // superseded_by: set by an issued one
		"challenges",         // devices' own keys go to the portal's own CA only
		"invitations",        // moved
		"ledger_keys",        // of the portal's own CA only
		"marks",              // issued ones only
		"order_items",        // moved
		"pickups",            // issued ones only
		"shown_certificates", // issued ones only
	}
	if !slices.Equal(tables, want) {
		t.Errorf("got %q, want %q", tables, want)
	}
}
