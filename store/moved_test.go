package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/seed"
)

func wantMoved(t *testing.T, doing string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "database file was moved or deleted: restart needed") {
		t.Errorf("%s: got error %v, want that the file was moved", doing, err)
	}
}

// moveAway renames the database with its journal, as a manual restore does.
func moveAway(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(from+suffix, to+suffix); err != nil {
			t.Fatal(err)
		}
	}
}

// A file without its name accepts writes that the next start would not find.
func TestNothingIsWrittenIntoAFileThatWasTakenAway(t *testing.T) {
	cases := []struct {
		name     string
		takeAway func(t *testing.T, file string)
	}{
		{"moved", func(t *testing.T, file string) { moveAway(t, file, file+".old") }},
		{"deleted", func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}},
		{"folder moved", func(t *testing.T, file string) {
			if err := os.Rename(filepath.Dir(file), filepath.Dir(file)+".old"); err != nil {
				t.Fatal(err)
			}
		}},
		{"replaced", func(t *testing.T, file string) {
			moveAway(t, file, file+".old")
			opened(t, file)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(folder, "portal.db")
			db := &database{DB: opened(t, file)}
			known := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
			c.takeAway(t, file)
			wantMoved(t, "reserving", db.Reserve(t.Context(), fixture.NewEnrolment(t, anna, "iPad").Reservation))
			wantMoved(t, "noting", db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)))
			testkit.Equal(t, "serial", newest(t, db, known).Serial, known.Serial())
		})
	}
}

// The refusal lasts until the restart, even when the file comes back: another process
// may have written to it. Everything acknowledged is in it.
func TestFileThatCameBackNeedsARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portal.db")
	db := &database{DB: opened(t, file)}
	known := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
	moveAway(t, file, file+".old")
	wantMoved(t, "away", db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)))
	moveAway(t, file+".old", file)
	wantMoved(t, "back again", db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db.DB = opened(t, file)
	testkit.Equal(t, "serial", newest(t, db, known).Serial, known.Serial())
	fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
	testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 4)
}

// A transaction that was under way when the file was moved is not committed either.
func TestFileTakenAwayDuringATransaction(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portal.db")
	db := opened(t, file)
	err := seed.Fill(t.Context(), db, seed.Config{Certificates: 1, Now: testkit.Noon, Template: func(int) (seed.Template, error) {
		moveAway(t, file, file+".old")
		return seed.Template{DER: []byte("body")}, nil
	}})
	wantMoved(t, "seeding", err)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	head := testkit.Must(opened(t, file+".old").Head(t.Context()))(t)
	testkit.Equal(t, "head in the moved file", head, audit.Head{})
}

// A symbolic link to the file is followed: the file itself is compared.
func TestLinkedFileIsNotTakenForMoved(t *testing.T) {
	folder := t.TempDir()
	file, link := filepath.Join(folder, "portal.db"), filepath.Join(folder, "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: link})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var records enroll.Store = db
	fixture.NewEnrolment(t, anna, "iPhone").Issue(t, records)
}
