package replicas

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "certportal-replicas-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "certportal")
	build := exec.Command("go", "build", "-o", binary, "certportal/cmd/certportal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// long reports whether the tests run for minutes: "scripts/test long".
func long() bool { return os.Getenv("CERTPORTAL_LONG") != "" }

// wait lets a time pass in which clients go on; false when the test ends before.
func wait(t testing.TB, d time.Duration) bool {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.Context().Done():
		return false
	}
}

// slow skips what takes long in a quick run.
func slow(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out of a quick run")
	}
}
