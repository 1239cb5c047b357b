package replicas

import (
	"os"
	"testing"
	"time"

	"certportal/internal/test/daemon"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(daemon.Main(m, &binary)) }

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
