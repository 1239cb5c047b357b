package sqldb_test

import (
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"

	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/store"
)

// An operator who cannot open the database reads what to do.
func TestOpeningSaysTheNextStep(t *testing.T) {
	var server pgtest.Server
	t.Cleanup(server.Stop)
	good := server.Database(t)
	closed := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	testkit.NoError(t, closed.Close())
	silent := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))(t) // takes connections, says nothing
	t.Cleanup(func() { silent.Close() })
	for _, tt := range []struct {
		name   string
		change func(*url.URL)
		want   string
	}{
		{"no such host", func(u *url.URL) { u.Host = "db.invalid" }, "DNS of this machine"},
		{"nothing listens", func(u *url.URL) { u.Host = closed.Addr().String() }, "that PostgreSQL runs at this address"},
		{"silent", func(u *url.URL) { u.Host = silent.Addr().String() }, "that PostgreSQL runs at this address"},
		{"no such account", func(u *url.URL) { u.User = url.UserPassword("mallory", "s3cret") }, "check user, password"},
		{"no such database", func(u *url.URL) { u.Path = "/elsewhere" }, "CREATE DATABASE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := testkit.Must(url.Parse(good))(t)
			tt.change(u)
			db, err := store.Open(t.Context(), store.Config{URL: u.String(), Log: slog.New(slog.DiscardHandler), AsIs: true})
			if err == nil {
				db.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "; ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			t.Log(err)
		})
	}
}
