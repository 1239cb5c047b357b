package pgtest

import (
	"os"
	"syscall"
)

// unprivileged is the account PostgreSQL runs as when the tests run as root, which it
// refuses to do.
const unprivileged = 65534

// attributes give up root, and end the server with the test program, even when
// that is killed.
func attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if os.Getuid() == 0 {
		a.Credential = &syscall.Credential{Uid: unprivileged, Gid: unprivileged}
	}
	return a
}

// handOver lets the server's account reach its data: the folder above is open
// to walk through, the data folder belongs to the account.
func handOver(folder, data string) error {
	if os.Getuid() != 0 {
		return nil
	}
	if err := os.Chmod(folder, 0o711); err != nil {
		return err
	}
	return os.Chown(data, unprivileged, unprivileged)
}
