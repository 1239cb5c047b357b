//go:build unix

package crl

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes a file or folder for this process until it is closed, and reports
// false when another has it. Where the file system knows no locks it reports true.
func lockFile(file *os.File) bool {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return !errors.Is(err, syscall.EWOULDBLOCK)
}
