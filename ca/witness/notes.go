//go:build witness

// Package witness notes what the keys of the CA sign, in a program that tests build with the tag
// witness: a record that owes nothing to the database. In every other program its functions are
// empty, and the linker drops them.
package witness

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Folder and Death are the variables that say where to note, and at which step the program
// kills itself.
const (
	Folder = "WITNESS_FOLDER"
	Death  = "WITNESS_DEATH"
)

// Signing notes what the key of a CA is about to sign, in a file of its own that is on disk
// before the key is used.
func Signing(tbs []byte) {
	folder := os.Getenv(Folder)
	if folder == "" {
		return
	}
	file, err := os.OpenFile(filepath.Join(folder, fmt.Sprintf("%x", sha256.Sum256(tbs))), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = file.Write(tbs)
	}
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		panic(fmt.Sprintf("witness: %v", err))
	}
	_ = file.Close()
}

// Point kills the program at the step that Death names.
func Point(step string) {
	if os.Getenv(Death) == step {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal arrives
	}
}
