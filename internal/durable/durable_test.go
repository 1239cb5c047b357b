package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Create and its fallback for file systems without links write the whole file, and leave
// an existing one alone.
func TestCreateReplacesNothing(t *testing.T) {
	for _, test := range []struct {
		name   string
		create func(string, []byte, fs.FileMode) error
	}{
		{"linked", Create},
		{"exclusive", createExclusive},
		{"piece by piece", func(path string, content []byte, mode fs.FileMode) error {
			return CreateFrom(path, mode, writer(content))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if err := test.create(path, []byte("first"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := test.create(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v, want %v", err, fs.ErrExist)
			}
			content, err := os.ReadFile(path)
			if err != nil || string(content) != "first" {
				t.Errorf("got %q and %v", content, err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("got %d files and %v, want no file left over", len(entries), err)
			}
			if err := test.create(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("no folder: got %v, want %v", err, fs.ErrNotExist)
			}
		})
	}
}

// What ends before it is whole leaves nothing behind.
func TestCreateFromLeavesNoPart(t *testing.T) {
	dir, broken := t.TempDir(), errors.New("broken")
	err := CreateFrom(filepath.Join(dir, "file"), 0o600, func(w io.Writer) error {
		if _, err := w.Write([]byte("part")); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"first", "second"} {
		if err := Replace(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("got %q and %v, want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// A folder of that name cannot be replaced; nothing is left over.
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(filepath.Join(dir, "folder"), nil, 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("got %d files and %v, want no file left over", len(entries), err)
	}
	if err := Replace(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestRemoveTemporary(t *testing.T) {
	dir := t.TempDir()
	old, fresh, other := filepath.Join(dir, prefix+"a-1"), filepath.Join(dir, prefix+"a-2"), filepath.Join(dir, "a.crl")
	for _, path := range []string{old, fresh, other} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{old, other} {
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	RemoveTemporary(dir, time.Hour)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || strings.HasSuffix(entries[0].Name(), "a-1") {
		t.Errorf("left: %v, %v", entries, err)
	}
	RemoveTemporary(filepath.Join(dir, "none"), 0)
}

func TestNamed(t *testing.T) {
	parent := t.TempDir()
	folder := filepath.Join(parent, "a[b*c")
	for _, name := range []string{folder, filepath.Join(folder, ".copy-1"), filepath.Join(folder, ".copy"), filepath.Join(parent, "a[bxc"), filepath.Join(parent, "a[bxc", ".copy-2")} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Named(folder, ".copy-"); err != nil || len(got) != 1 || got[0] != filepath.Join(folder, ".copy-1") {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Named(filepath.Join(parent, "none"), ".copy-"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: got %v, want %v", err, fs.ErrNotExist)
	}
}
