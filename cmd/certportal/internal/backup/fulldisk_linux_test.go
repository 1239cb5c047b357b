package backup

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// A full disk leaves nothing under the final name, neither of a backup nor of a restore.
func TestF3_BackupOnAFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mounting a small disk: %v", err)
		}
		daemon.Need(t, "root is needed to mount a small disk: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	i := newInstallation(t, fixture.SQLite(t))
	if _, _, err := Make(t.Context(), i.Source, filepath.Join(disk, "backup"), i.seal); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("backup: %v, want ENOSPC", err)
	}
	if left := testkit.Must(os.ReadDir(disk))(t); len(left) != 0 {
		t.Errorf("left of the backup: %v", left)
	}
	to := i.target(t)
	to.Data = filepath.Join(disk, "data")
	to.Database, to.Journal = "sqlite:"+filepath.Join(to.Data, "portal.db"), filepath.Join(to.Data, "revocation.journal")
	file := i.backup(t)
	if _, err := Restore(t.Context(), file, i.key, to); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("restore: %v, want ENOSPC", err)
	}
	if left := testkit.Must(os.ReadDir(to.Data))(t); len(left) != 1 {
		t.Errorf("left of the restore: %v", left)
	}
	if _, err := Verify(t.Context(), file, i.key, disk); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("verify: %v, want ENOSPC", err)
	}
	if left := testkit.Must(os.ReadDir(disk))(t); len(left) != 1 {
		t.Errorf("left of verifying: %v", left)
	}
}
