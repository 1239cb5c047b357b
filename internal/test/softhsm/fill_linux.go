package softhsm

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// fill moves a token into a small file system and uses up what it has left.
func fill(t testing.TB, folder string) error {
	files := filepath.Join(t.TempDir(), "token")
	if err := os.Rename(folder, files); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=256k"); err != nil {
		return err
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
	if err := exec.CommandContext(t.Context(), "cp", "-a", files+"/.", folder).Run(); err != nil {
		return err
	}
	// As much as fits: the error is the aim.
	_ = os.WriteFile(filepath.Join(folder, "ballast"), make([]byte, 1<<20), 0o600)
	return nil
}
