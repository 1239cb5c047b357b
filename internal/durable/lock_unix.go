//go:build unix

package durable

import (
	"errors"
	"os"
	"syscall"
)

// NoFollow is a flag of os.OpenFile that refuses a symbolic link.
const NoFollow = syscall.O_NOFOLLOW

// Lock locks a file or folder for this process, without waiting, until the file is closed
// or the process ends. It returns ErrLocked when another process holds the lock, and the
// system's error where the file system has no locks. On systems without flock it does
// nothing.
func Lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
