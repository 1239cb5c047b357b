package store_test

import (
	"context"
	"database/sql"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/sqldb"
)

// note writes an entry of the audit log.
func note(ctx context.Context, db *store.DB) error {
	return db.Note(ctx, fixture.NewEntry(testkit.Noon, audit.SignedIn, anna))
}

// A database that is read-only for a while is written to as soon as it is not: connections of
// that time, which stay read-only, are not used again.
func TestF5_ReadOnlyForAWhile(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		if !db.Shared() {
			return // a file that cannot be written to is another test
		}
		admin := testkit.Must(db.plain.Conn(t.Context()))(t)
		defer admin.Close()
		var name string
		testkit.NoError(t, admin.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name))
		set := func(what string) {
			t.Helper()
			testkit.Must(admin.ExecContext(context.WithoutCancel(t.Context()), "ALTER DATABASE "+name+" "+what))(t)
		}
		set("SET default_transaction_read_only = on")
		defer set("RESET default_transaction_read_only") // the database is given to other tests
		testkit.Must(admin.ExecContext(t.Context(),
			"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"))(t)
		testkit.Eventually(t, "writing is refused as read-only", func() bool { // a busy server answers late
			err := note(t.Context(), db.DB)
			if err == nil {
				t.Fatal("a read-only database was written to")
			}
			return strings.Contains(err.Error(), "read-only")
		})
		testkit.Must(db.Head(t.Context()))(t)
		set("RESET default_transaction_read_only")
		for range 20 {
			testkit.NoError(t, note(t.Context(), db.DB))
		}
	})
}

// A primary comes back as a standby, and is promoted: nothing is read from a standby, which may
// lack what was recorded a moment ago.
func TestF5_StandbyIsNotAsked(t *testing.T) {
	server := pgtest.Server{Options: []string{"wal_level=replica"}}
	t.Cleanup(server.Stop)
	address := server.Database(t)
	db, lax := opened(t, address), opened(t, address+"&target_session_attrs=any")
	testkit.NoError(t, note(t.Context(), db))
	server.Demote(t)
	testkit.Eventually(t, "reading is refused because of the standby", func() bool { // a busy one answers late
		_, err := db.Head(t.Context())
		if err == nil {
			t.Fatal("a standby was read")
		}
		return strings.Contains(err.Error(), "standby")
	})
	testkit.Must(lax.Head(t.Context()))(t)
	server.Promote(t)
	testkit.NoError(t, note(t.Context(), db))
	testkit.NoError(t, note(t.Context(), lax))
}

// An administrator cancels a COMMIT that waits for a standby which is away. The server reports
// success; for the portal it is none, also where the database hides warnings.
func TestF5_CommitWithoutItsStandby(t *testing.T) {
	server := pgtest.Server{Options: []string{"wal_level=replica", "max_wal_senders=2"}}
	t.Cleanup(server.Stop)
	address := server.Database(t)
	admin := testkit.Must(sql.Open("pgx", address))(t)
	t.Cleanup(func() { admin.Close() })
	testkit.Must(admin.ExecContext(t.Context(), "ALTER ROLE CURRENT_USER SET client_min_messages = error"))(t)
	db := opened(t, address)
	set := func(names string) {
		t.Helper()
		ctx := context.WithoutCancel(t.Context())
		testkit.Must(admin.ExecContext(ctx, "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'"))(t)
		testkit.Must(admin.ExecContext(ctx, "SELECT pg_reload_conf()"))(t)
	}
	t.Cleanup(func() { set("") }) // or the database could not be emptied
	set("absent")
	tries := 0
	done := make(chan error, 1)
	go func() {
		for { // until the server has read its settings
			tries = 0
			err := db.Write(t.Context(), time.Minute, "writing", func(ctx context.Context, tx *sqldb.Tx) error {
				tries++
				_, err := tx.Exec(ctx, "UPDATE watch SET id = id WHERE id = 1")
				return err
			})
			if err != nil {
				done <- err
				return
			}
		}
	}()
	testkit.Eventually(t, "a commit waits and is cancelled", func() bool {
		var cancelled int
		testkit.NoError(t, admin.QueryRowContext(t.Context(),
			"SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&cancelled))
		return cancelled > 0
	})
	if err := <-done; err == nil || tries != 1 || !strings.Contains(err.Error(), "standby") {
		t.Errorf("got %v after %d tries, want an error that says standby after one", err, tries)
	}
	set("")
	testkit.NoError(t, note(t.Context(), db))
}

// The first of two servers in an address died without a word: new connections are made to the
// second while a request still waits.
func TestF5_FirstServerIsSilent(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		if !db.Shared() {
			return // a file has no server
		}
		silent := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))(t) // takes connections, says nothing
		defer silent.Close()
		address := testkit.Must(url.Parse(db.address))(t)
		address.Host = silent.Addr().String() + "," + address.Host
		both := opened(t, address.String())
		for range 2 {
			testkit.Must(db.plain.ExecContext(t.Context(),
				"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"))(t)
			testkit.NoError(t, note(t.Context(), both))
		}
	})
}
