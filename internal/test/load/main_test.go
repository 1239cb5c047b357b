package load_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"certportal/internal/test/testkit"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "certportal-load-")
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

// long skips what takes minutes, but in "scripts/test long".
func long(t testing.TB) {
	t.Helper()
	if testkit.Times(t, 1) == 1 {
		t.Skip("takes minutes: scripts/test long")
	}
}
