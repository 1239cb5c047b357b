package load_test

import (
	"os"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(daemon.Main(m, &binary)) }

// long skips what takes minutes, but in "scripts/test long".
func long(t testing.TB) {
	t.Helper()
	if testkit.Times(t, 1) == 1 {
		t.Skip("takes minutes: scripts/test long")
	}
}
