package daemon

import (
	"os"
	"syscall"
)

// attributes has the server killed when the test binary ends, even by SIGKILL.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func signalStop(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func signalGo(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// lock waits for an exclusive lock on a file shared with other test processes. Closing the
// file releases it.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
