package app

import (
	"errors"
	"fmt"
	"os"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/durable"
)

// LockData makes sure that one portal runs on a data folder: a second one would take the
// running requests of the first for what a crash left, and revoke them. The lock ends
// with the process.
func LockData(s *config.Settings) (*os.File, error) {
	return lockData(s, "another portal runs on %s: stop it, or give this one another data folder")
}

// LockForCommand is LockData for a command that must have the data folder to itself.
func LockForCommand(s *config.Settings) (*os.File, error) {
	return lockData(s, "a portal, or a command like this one, runs on %s: stop it, then give this command again")
}

func lockData(s *config.Settings, held string) (*os.File, error) {
	f, err := durable.OpenNoLink(s.Path("portal.lock"))
	if err != nil {
		return nil, fmt.Errorf("locking data folder: %w", err)
	}
	if err := durable.Lock(f); err != nil {
		return nil, errors.Join(
			fmt.Errorf(held+": %w", s.Data, err), f.Close())
	}
	return f, nil
}
