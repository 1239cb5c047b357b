package crl_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"certportal/ca/crl"
)

// smallDisk mounts a file system of 64 KiB for the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
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

// fill writes a file until the disk is full.
func fill(t *testing.T, file string) {
	t.Helper()
	filler, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for chunk := make([]byte, 512); ; {
		if _, err := filler.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			return
		}
	}
}

// On a full disk the previous list stays whole, and with space again the next one is
// written.
func TestF3_FolderOnAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	folder := &crl.Folder{Path: disk}
	o := newFixture(t, func(c *crl.Config) { c.Targets = []crl.Target{folder} })
	folder.Signers = o.signers
	o.refresh()
	if err := o.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := held(t, o, "issuing")
	fill(t, filepath.Join(disk, "filler"))
	o.pass(time.Second)
	serial := o.revokeNew()
	o.refresh()
	if err := o.Deliver(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Deliver: %v, want ENOSPC", err)
	}
	if n := inFolder(t, o, disk, "issuing.crl", "issuing").Number.Big().Int64(); n != before.Number {
		t.Errorf("list %d there, want %d", n, before.Number)
	}
	if !o.names("issuing", serial) || o.Health()[1].Targets[0].Trouble == "" {
		t.Error("the list in memory, or the trouble of the folder, is not told")
	}
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	if err := o.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := inFolder(t, o, disk, "issuing.crl", "issuing").Number.Big().Int64(); n != held(t, o, "issuing").Number {
		t.Errorf("list %d there with room again", n)
	}
}

// A journal on a full disk keeps its lines, reports the error, and catches up with space
// again.
func TestF3_JournalOnAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	file := filepath.Join(disk, "revocation.journal")
	o := newFixture(t)
	j := journalAt(t, o, file)
	o.revokeNew()
	follow(t, j)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(disk, "filler"))
	for range 100 {
		o.revokeNew()
	}
	if err := j.Follow(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Follow: %v, want ENOSPC", err)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, before) {
		t.Errorf("journal of %d bytes, %v, want the %d from before", len(after), err, len(before))
	}
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	follow(t, j)
	if err := j.Verify(); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(file); err != nil || bytes.Count(after, []byte("\n")) < 201 {
		t.Errorf("%d lines, %v, want one for each certificate and each revocation", bytes.Count(after, []byte("\n")), err)
	}
}
