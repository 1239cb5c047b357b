package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// brokenDisk names the database of the program that TestF4 starts under strace.
const brokenDisk = "CERTPORTAL_TEST_BROKEN_DISK"

// After some time the disk reports errors instead of keeping data. Writing stops for
// good, and everything acknowledged before is there.
func TestF4_DiskThatKeepsNothing(t *testing.T) {
	if file := os.Getenv(brokenDisk); file != "" {
		enrolOnBrokenDisk(t, file)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("strace is not installed")
	}
	if err != nil {
		t.Skip("strace is not installed")
	}
	file := filepath.Join(t.TempDir(), "portal.db")
	opened(t, file).Close() // the first errors are to meet enrolments, not the migration
	child := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync,fdatasync",
		"-e", "inject=fsync,fdatasync:error=EIO:when=12+", os.Args[0], "-test.run=^TestF4_DiskThatKeepsNothing$", "-test.v")
	child.Env = append(os.Environ(), brokenDisk+"="+file)
	output, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("program on the broken disk: %v\n%s", err, output)
	}
	db := &database{DB: opened(t, file)}
	acknowledged := 0
	for line := range strings.Lines(string(output)) {
		device, found := strings.CutPrefix(strings.TrimSpace(line), "acknowledged ")
		if !found {
			continue
		}
		acknowledged++
		got := testkit.Must(db.Device(t.Context(), anna, portal.DeviceID(device)))(t)
		testkit.Equal(t, "status", got.Certificate.Status, portal.Issued)
	}
	if acknowledged == 0 {
		t.Errorf("nothing was acknowledged before the disk broke:\n%s", output)
	}
	fixture.Entries(t, db)
}

func enrolOnBrokenDisk(t *testing.T, file string) {
	ctx := t.Context()
	db := opened(t, file)
	for n := range 100 {
		e := fixture.NewEnrolment(t, anna, fmt.Sprint("device", n))
		e.Reservation.Quota = 100
		err := db.Reserve(ctx, e.Reservation)
		if err == nil {
			err = db.Complete(ctx, e.Completion)
		}
		if err == nil {
			fmt.Printf("\nacknowledged %s\n", e.Device())
			continue
		}
		if err := db.Note(ctx, fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)); err == nil || !strings.Contains(err.Error(), "restart needed") {
			t.Errorf("writing after the disk broke: got error %v", err)
		}
		testkit.Must(db.Devices(ctx, anna))(t)
		return
	}
	t.Error("no write was refused")
}
