package app

import (
	"log/slog"
	"net"
	"net/url"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// Two of three servers in the address of the database are silent, and the third is well: so is
// the database.
func TestF5_CheckOfADatabaseWithSilentServers(t *testing.T) {
	address := testkit.Must(url.Parse(fixture.Postgres(t)))(t)
	for range 2 {
		silent := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))(t) // takes connections, says nothing
		defer silent.Close()
		address.Host = silent.Addr().String() + "," + address.Host
	}
	found := databaseFindings(t.Context(), &config.Settings{Database: address.String(), Data: t.TempDir()}, slog.New(slog.DiscardHandler))
	if len(found) != 1 || found[0].State != portal.FindingOK {
		t.Errorf("got %v, want that the database is well", found)
	}
}
