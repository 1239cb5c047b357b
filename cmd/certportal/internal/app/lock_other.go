//go:build !unix

package app

import (
	"fmt"
	"os"
)

// lockData keeps a second portal from the data folder by the file being open,
// where the system does that.
func lockData(s *Settings) (*os.File, error) {
	f, err := os.OpenFile(s.path("portal.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking data folder: %w", err)
	}
	return f, nil
}
