//go:build unix

package app

import (
	"fmt"
	"os"
	"syscall"

	"certportal/cmd/certportal/internal/config"
)

// lockData makes sure that one portal runs on a data folder: a second one would
// take the requests of the first for what a crash left. The lock ends with the
// process, however it ends.
func lockData(s *config.Settings) (*os.File, error) {
	f, err := os.OpenFile(s.Path("portal.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another portal runs on %s: stop it, or give this one another data folder: %w", s.Data, err)
	}
	return f, nil
}
