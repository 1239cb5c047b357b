package daemon

import (
	"os"
	"syscall"
)

// attributes end the server with the test program, even when that is killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func signalStop(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func signalGo(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// lock waits for a lock on a file that other test processes share. Closing the
// file gives it back, and so does the end of the process.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
