package ca_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
)

var passphrase = ca.Passphrase("correct horse")

func newFolder(t *testing.T) (string, *ca.Folder) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data", "ca")
	f, err := ca.CreateFolder(dir, ca.FixtureHierarchy(t, "ec"), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return dir, f
}

func TestFolderKeepsTheCA(t *testing.T) {
	dir, created := newFolder(t)
	f, err := ca.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Root().Equal(created.Root()) || !f.Issuing().Equal(created.Issuing()) {
		t.Error("another certificate came back")
	}
	root, err := f.RootKey(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	issuing, err := f.IssuingKey(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []ca.IssuerConfig{{Certificate: f.Root(), Signer: root}, {Certificate: f.Issuing(), Signer: issuing}} {
		if _, err := ca.NewIssuer(cfg); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.IssuingKey(ca.Passphrase("wrong")); !errors.Is(err, ca.ErrPassphrase) {
		t.Errorf("got %v, want %v", err, ca.ErrPassphrase)
	}
}

func TestA13_FolderModes(t *testing.T) {
	dir, _ := newFolder(t)
	for _, test := range []struct {
		name string
		mode fs.FileMode
	}{
		{".", 0o700}, {"root.key", 0o600}, {"issuing.key", 0o600}, {"root.crt", 0o644}, {"issuing.crt", 0o644},
	} {
		info, err := os.Stat(filepath.Join(dir, test.name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != test.mode {
			t.Errorf("%s: got mode %04o, want %04o", test.name, got, test.mode)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 {
		t.Errorf("got %d files, want 4: %v", len(entries), entries)
	}
}

func TestA13_ExposedKeysAreRefused(t *testing.T) {
	for _, name := range []string{"root.key", "issuing.key"} {
		for _, mode := range []fs.FileMode{0o640, 0o604, 0o644} {
			dir, f := newFolder(t)
			path := filepath.Join(dir, name)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			_, err := ca.OpenFolder(dir)
			if !errors.Is(err, ca.ErrExposed) || !strings.Contains(err.Error(), "chmod 600 "+path) {
				t.Errorf("%s with mode %04o: got %v", name, mode, err)
			}
			// Also when the mode changes after OpenFolder.
			open := f.RootKey
			if name == "issuing.key" {
				open = f.IssuingKey
			}
			if _, err := open(passphrase); !errors.Is(err, ca.ErrExposed) {
				t.Errorf("%s with mode %04o: got %v", name, mode, err)
			}
		}
	}
}

func TestCreateFolderNeverReplaces(t *testing.T) {
	dir, _ := newFolder(t)
	before := contents(t, dir)
	if _, err := ca.CreateFolder(dir, ca.FixtureHierarchy(t, "rsa"), passphrase); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	for _, name := range []string{"root.crt", "root.key", "issuing.crt"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		delete(before, name)
		if _, err := ca.CreateFolder(dir, ca.FixtureHierarchy(t, "rsa"), passphrase); !errors.Is(err, fs.ErrExist) {
			t.Errorf("without %s: got %v, want %v", name, err, fs.ErrExist)
		}
	}
	after := contents(t, dir)
	for name, content := range after {
		if !bytes.Equal(content, before[name]) {
			t.Errorf("%s was changed", name)
		}
	}
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestOpenFolderRefuses(t *testing.T) {
	t.Run("no folder", func(t *testing.T) {
		if _, err := ca.OpenFolder(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want %v", err, fs.ErrNotExist)
		}
	})
	t.Run("empty folder", func(t *testing.T) {
		if _, err := ca.OpenFolder(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want %v", err, fs.ErrNotExist)
		}
	})
	// An incomplete CA must not count as absent, or a new one would be created.
	for _, name := range []string{"root.crt", "issuing.crt", "issuing.key"} {
		t.Run("without "+name, func(t *testing.T) {
			dir, _ := newFolder(t)
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			_, err := ca.OpenFolder(dir)
			if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), name+" missing") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("root of another CA", func(t *testing.T) {
		dir, _ := newFolder(t)
		if err := os.WriteFile(filepath.Join(dir, "root.crt"), ca.PEM(ca.FixtureHierarchy(t, "rsa").Root), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ca.OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "not signed by the root") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("key of another CA", func(t *testing.T) {
		dir, f := newFolder(t)
		file, err := ca.EncryptKey(ca.FixtureKey(t, "user-ec"), passphrase)
		if err != nil {
			t.Fatal(err)
		}
		ca.FixtureFile(t, dir, "issuing.key", file)
		if _, err := f.IssuingKey(passphrase); err == nil || !strings.Contains(err.Error(), "does not belong") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("certificate that is none", func(t *testing.T) {
		dir, _ := newFolder(t)
		if err := os.WriteFile(filepath.Join(dir, "issuing.crt"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ca.OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "issuing.crt") {
			t.Errorf("got %v", err)
		}
	})
}

func TestExportRootKey(t *testing.T) {
	dir, f := newFolder(t)
	stick := t.TempDir()
	taken := ca.FixtureFile(t, stick, "taken", []byte("something else"))
	if err := f.ExportRootKey(taken); !errors.Is(err, fs.ErrExist) {
		t.Errorf("existing file: got %v, want %v", err, fs.ErrExist)
	}
	if err := f.ExportRootKey(filepath.Join(stick, "no", "such", "folder")); err == nil {
		t.Error("no folder: got no error")
	}
	if _, err := f.RootKey(passphrase); err != nil {
		t.Fatalf("after refused exports: %v", err)
	}
	before := contents(t, dir)["root.key"]
	dest := filepath.Join(stick, "root.key")
	if err := f.ExportRootKey(dest); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, stick)["root.key"]; !bytes.Equal(got, before) {
		t.Error("the copy differs")
	}
	if _, err := os.Lstat(filepath.Join(dir, "root.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the original: got %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := f.RootKey(passphrase); !errors.Is(err, ca.ErrNoRootKey) {
		t.Errorf("got %v, want %v", err, ca.ErrNoRootKey)
	}
	if err := f.ExportRootKey(dest); !errors.Is(err, ca.ErrNoRootKey) {
		t.Errorf("second export: got %v, want %v", err, ca.ErrNoRootKey)
	}
	if _, err := ca.OpenFolder(dir); err != nil {
		t.Errorf("without the root key: %v", err)
	}
}
