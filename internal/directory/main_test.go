package directory_test

import (
	"flag"
	"os"
	"testing"

	"certportal/internal/test/samba"
)

// TestMain runs more tests at once than there are cores, because most of them wait for
// timeouts, and stops the shared domain controllers.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		flag.Set("test.parallel", "4")
	}
	code := m.Run()
	samba.StopAll()
	os.Exit(code)
}
