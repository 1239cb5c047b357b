package daemon

import (
	"fmt"
	"os"
	"path/filepath"
)

// Cached returns a folder that build filled once, now or in an earlier run of any test
// binary of this user. A change of build needs a new name. The folder is shared: copy it
// before writing.
func Cached(name string, build func(folder string) error) (string, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache: %w", err)
	}
	root = filepath.Join(root, "certportal-test")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("making the cache: %w", err)
	}
	done := filepath.Join(root, name)
	if _, err := os.Stat(done); err == nil {
		return done, nil
	}
	return done, buildOnce(root, done, build)
}

// buildOnce builds in one process while the others wait. The folder gets its name after
// the build, so that an aborted build is not used.
func buildOnce(root, done string, build func(folder string) error) error {
	guard, err := os.OpenFile(done+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("opening lock of %s: %w", done, err)
	}
	defer guard.Close()
	if err := lock(guard); err != nil {
		return fmt.Errorf("locking %s: %w", done, err)
	}
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	draft, err := os.MkdirTemp(root, "draft-*")
	if err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	defer os.RemoveAll(draft)
	if err := build(draft); err != nil {
		return fmt.Errorf("building %s: %w", filepath.Base(done), err)
	}
	return os.Rename(draft, done)
}
