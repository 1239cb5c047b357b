//go:build unix

package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	open := func() *os.File {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := Lock(first); err != nil {
		t.Fatal(err)
	}
	if err := Lock(second); !errors.Is(err, ErrLocked) {
		t.Errorf("held: got %v, want %v", err, ErrLocked)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Lock(second); err != nil {
		t.Errorf("released: %v", err)
	}
}

func TestOpenNoLink(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "portal.lock"), filepath.Join(dir, "elsewhere")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if f, err := OpenNoLink(link); err == nil || !strings.Contains(err.Error(), "portal.lock is a symbolic link") {
		t.Errorf("a link: got %v, %v", f, err)
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the link was followed")
	}
	f, err := OpenNoLink(target)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
