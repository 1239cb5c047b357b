package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// smallDisk mounts a file system of 12 MiB for the test: SQLite writes its journal
// back into the file when it has 4 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=12m"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mounting a small disk: %v", err)
		}
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// fill writes until the disk is full, then frees some pages.
func fill(t *testing.T, file string, spare int64) {
	t.Helper()
	const page = 4096
	filler, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	written := int64(0)
	for chunk := make([]byte, page); ; written += page {
		if _, err := filler.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			break
		}
	}
	if err := filler.Truncate(max(0, written-spare*page)); err != nil {
		t.Fatal(err)
	}
}

// The disk runs full at different moments of an enrolment. Everything acknowledged is
// there afterwards, reading goes on, and with room again so does writing, in the same
// process.
func TestF3_FullDisk(t *testing.T) {
	folder := smallDisk(t)
	db := &database{DB: opened(t, filepath.Join(folder, "portal.db"))}
	save(t, db, 1, "anna", testkit.Noon)
	publish(t, db, testkit.Noon)
	acknowledged := make(map[portal.PersonID]int)
	for moment := range int64(20) {
		person := portal.PersonID(fmt.Sprint("person", moment))
		before := fixture.NewEnrolment(t, person, "before").Issue(t, db)
		filler := filepath.Join(folder, "filler")
		fill(t, filler, moment)
		acknowledged[person] = 1 + enrolUntilFull(t, db, person)
		checkReading(t, db, before)
		for known, want := range acknowledged {
			devices := testkit.Must(db.Devices(t.Context(), known))(t)
			testkit.Equal(t, "devices of "+string(known), len(devices), want)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		after := fixture.NewEnrolment(t, person, "after")
		after.Reservation.Quota = 1000
		after.Issue(t, db)
		acknowledged[person]++
		fixture.Entries(t, db)
	}
}

// enrolUntilFull counts the enrolments that were acknowledged.
func enrolUntilFull(t *testing.T, db *database, person portal.PersonID) int {
	t.Helper()
	for n := range 1000 {
		e := fixture.NewEnrolment(t, person, fmt.Sprint("device", n))
		e.Reservation.Quota = 1000
		if err := db.Reserve(t.Context(), e.Reservation); err != nil {
			return n
		}
		if err := db.Complete(t.Context(), e.Completion); err != nil {
			testkit.Equal(t, "status after a failed completion", newest(t, db, e).Status, portal.Pending)
			return n
		}
	}
	t.Fatal("the disk did not run full")
	return 0
}

func checkReading(t *testing.T, db *database, known fixture.Enrolment) {
	t.Helper()
	ctx := t.Context()
	testkit.Equal(t, "certificate", newest(t, db, known).Serial, known.Serial())
	testkit.Must(db.Pickup(ctx, known.TokenHash))(t)
	testkit.Must(db.Head(ctx))(t)
	// Its use cannot be recorded.
	testkit.Must(db.Session(ctx, [32]byte{1}, testkit.Noon.Add(5*time.Minute)))(t)
	if _, found, err := db.Latest(ctx, "issuing", false, 0); !found || err != nil {
		t.Errorf("newest list: got %v, %v", found, err)
	}
}
