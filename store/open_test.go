package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/sqldb"
)

func TestF18_RefusesNewerSchema(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		if _, err := db.plain.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, TRUE)"); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), store.Config{URL: db.address})
		wantError(t, "opening", err, store.ErrSchemaNewer)
		if !strings.Contains(err.Error(), "version 99") {
			t.Errorf("got error %q, want the version in it", err)
		}
	})
}

func TestF18_ReplicasThatStartTogetherMigrateOnce(t *testing.T) {
	for _, engine := range engines {
		for _, origin := range []string{"empty", "ten steps"} {
			t.Run(engine.name+"/"+origin, func(t *testing.T) {
				t.Parallel()
				address := engine.empty(t)
				if origin == "ten steps" {
					testkit.Must(tenSteps(t, engine.dialect, connect(t, engine.driver, address)).Up(t.Context()))(t)
				}
				var waiting sync.WaitGroup
				for i := range 4 {
					waiting.Go(func() {
						db, err := store.Open(t.Context(), store.Config{URL: address})
						if err != nil {
							t.Errorf("replica %d: %v", i, err)
							return
						}
						defer db.Close()
						if err := db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)); err != nil {
							t.Error(err)
						}
					})
				}
				waiting.Wait()
				db := &database{DB: opened(t, address)}
				testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 4)
			})
		}
	}
}

func TestReopening(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Head(t.Context()); err == nil {
			t.Error("closed database answers")
		}
		db.DB = opened(t, db.address)
		testkit.Equal(t, "serial", newest(t, db, e).Serial, e.Serial())
		fixture.Entries(t, db)
	})
}

func TestSQLiteAddresses(t *testing.T) {
	folder := t.TempDir()
	awkward := filepath.Join(folder, "a b?c#d%41&_txlock=deferred.db")
	cases := []struct {
		name, url, file string
	}{
		{"scheme", "sqlite:" + filepath.Join(folder, "one.db"), filepath.Join(folder, "one.db")},
		{"scheme with slashes", "sqlite://" + filepath.Join(folder, "two.db"), filepath.Join(folder, "two.db")},
		{"bare path", filepath.Join(folder, "three.db"), filepath.Join(folder, "three.db")},
		{"awkward path", awkward, awkward},
		{"empty", "", ""},
		{"memory", "sqlite::memory:", ""},
		{"other scheme", "mysql://portal@db/portal", ""},
		{"no folder", filepath.Join(folder, "none", "x.db"), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			db, err := store.Open(t.Context(), store.Config{URL: c.url})
			if c.file == "" {
				if err == nil {
					db.Close()
					t.Error("opened")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, suffix := range []string{"", "-wal", "-shm"} {
				info, err := os.Stat(c.file + suffix)
				if err != nil {
					t.Fatal(err)
				}
				testkit.Equal(t, "mode of "+suffix, info.Mode().Perm(), 0o600)
			}
		})
	}
}

func TestErrorsHoldNoPassword(t *testing.T) {
	secrets := []string{"s3cr%2Ft-Pa%40w0rd", "s3cr@w0rd", "s3cr/w0rd", "s3cr?w0rd", "s3cr:w0rd", "s3cr#w0rd", "s3cr w0rd", "s3cr%w0rd"}
	addresses := []string{
		"postgres://portal:%s@127.0.0.1:1/portal?connect_timeout=1&sslmode=disable",
		"postgres://portal:%s@127.0.0.1:1/portal?sslmode=nonsense",
		"postgres://portal:%s@127.0.0.1:notaport/portal",
		"postgres://portal:%s@[::1/portal",
		"postgres://127.0.0.1:1/portal?user=portal&password=%s&sslmode=nonsense",
		"postgresql://portal:%s@127.0.0.1:1/por\x01tal",
	}
	for _, address := range addresses {
		t.Run(address, func(t *testing.T) {
			for _, secret := range secrets {
				_, err := store.Open(t.Context(), store.Config{URL: fmt.Sprintf(address, secret)})
				if err == nil {
					t.Fatal("opened")
				}
				if text := err.Error(); strings.Contains(text, "s3cr") || strings.Contains(text, "w0rd") {
					t.Errorf("got error %q, which holds a part of the password", err)
				}
			}
		})
	}
}

// The store keeps encrypted data and hashes: texts that people and forms send are not
// in its files.
func TestA16_FilesHoldOnlyWhatIsSealed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portal.db")
	db := opened(t, file)
	e := fixture.NewEnrolment(t, anna, "iPhone")
	e.Reservation.Idempotent = "token-of-the-form"
	e.Issue(t, db)
	if _, err := db.Try(t.Context(), "password-typed-as-name", signin.Limit{Tries: 3, Window: idle}, testkit.Noon); err != nil {
		t.Fatal(err)
	}
	everything := contents(t, file)
	for _, hidden := range []string{"token-of-the-form", "password-typed-as-name"} {
		if bytes.Contains(everything, []byte(hidden)) {
			t.Errorf("files hold %q", hidden)
		}
	}
	if !bytes.Contains(everything, []byte("sealed key")) {
		t.Error("files do not hold the sealed key: this test looks in the wrong place")
	}
	if _, err := db.WipePickups(t.Context(), testkit.Noon.Add(idle)); err != nil {
		t.Fatal(err)
	}
	// Closing writes the journal back into the file and removes it.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(contents(t, file), []byte("sealed key")) {
		t.Error("file holds the sealed key after it was wiped")
	}
}

// contents reads the database with its journal.
func contents(t *testing.T, file string) []byte {
	t.Helper()
	var all []byte
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(file + suffix)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}

// Opened as it is, a database is looked at and not brought up to date.
func TestOpenAsIs(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		asIs := store.Config{URL: db.address, AsIs: true}
		as := testkit.Must(store.Open(t.Context(), asIs))(t)
		if _, err := as.Head(t.Context()); err != nil {
			t.Error(err)
		}
		testkit.NoError(t, as.Close())
		if _, err := db.plain.Exec("DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)"); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), asIs)
		wantError(t, "opening an older one", err, sqldb.ErrSchemaBehind)
	})
	missing := filepath.Join(t.TempDir(), "missing.db")
	if _, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + missing, AsIs: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the file was made")
	}
}
