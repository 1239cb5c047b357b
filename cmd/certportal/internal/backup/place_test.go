package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// TestF15_NoPartOfADatabaseStaysBehind: what is in the write-ahead journal would be lost.
func TestF15_NoPartOfADatabaseStaysBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	testkit.NoError(t, checkWhole(path))
	testkit.NoError(t, os.WriteFile(path+"-wal", nil, 0o600))
	testkit.NoError(t, checkWhole(path))
	testkit.NoError(t, os.WriteFile(path+"-wal", []byte("frames"), 0o600))
	if err := checkWhole(path); err == nil || !strings.Contains(err.Error(), "portal.db-wal has a part") {
		t.Errorf("got %v, want that a part is in portal.db-wal", err)
	}
}

// Root runs backup and restore in a folder of the portal's account: a link there must not lead
// what is written to another place.
func TestA13_LinksAreNotFollowed(t *testing.T) {
	data, elsewhere := t.TempDir(), t.TempDir()
	testkit.NoError(t, os.Symlink(filepath.Join(elsewhere, "made"), filepath.Join(data, "backup.lock")))
	_, err := Source{Data: data}.lock()
	testkit.Contains(t, "the lock of a backup", fmt.Sprint(err), "backup.lock is a symbolic link")

	place := t.TempDir()
	testkit.NoError(t, os.Symlink(filepath.Join(elsewhere, "made"), filepath.Join(place, "portal.lock")))
	_, err = takePlace(place)
	testkit.Contains(t, "the lock of a restore", fmt.Sprint(err), "portal.lock is a symbolic link")

	p := testkit.Must(takePlace(t.TempDir()))(t)
	testkit.NoError(t, os.Symlink(elsewhere, filepath.Join(p.stage, "ca")))
	testkit.NoError(t, os.Symlink(filepath.Join(elsewhere, "made"), filepath.Join(p.stage, "portal.db")))
	write := into(p.into)
	for _, name := range []string{caFolder + "root.crt", databaseName} {
		if err := write(name, strings.NewReader("x")); err == nil {
			t.Errorf("%s was written through a link", name)
		}
	}
	testkit.NoError(t, p.leave())
	testkit.Equal(t, "files elsewhere", len(testkit.Must(os.ReadDir(elsewhere))(t)), 0)
}
