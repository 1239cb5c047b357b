package ca

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Both ways of making a file, the second of which serves where links are
// missing, must write all of it and leave what is there alone.
func TestNewFilesReplaceNothing(t *testing.T) {
	for _, test := range []struct {
		name   string
		create func(string, []byte, fs.FileMode) error
	}{
		{"linked", createFile},
		{"exclusive", createExclusive},
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

func TestReadLimited(t *testing.T) {
	path := FixtureFile(t, t.TempDir(), "file", []byte("12345"))
	if content, err := readLimited(path, 5); err != nil || string(content) != "12345" {
		t.Errorf("got %q and %v", content, err)
	}
	if content, err := readLimited(path, 4); err == nil {
		t.Errorf("got %q, want a refusal", content)
	}
}
