//go:build !linux

package daemon

import (
	"errors"
	"os"
	"syscall"
)

var errLinuxOnly = errors.New("on Linux alone")

func attributes() *syscall.SysProcAttr { return nil }

func signalStop(*os.Process) error { return errLinuxOnly }
func signalGo(*os.Process) error   { return errLinuxOnly }

// lock does nothing elsewhere: two test processes then make the same thing, and
// the second finds the first one's.
func lock(*os.File) error { return nil }
