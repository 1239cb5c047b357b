package backup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// TestF15_NoPartOfADatabaseStaysBehind: what is in the write-ahead journal would be lost.
func TestF15_NoPartOfADatabaseStaysBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	testkit.NoError(t, checkWhole(path))
	testkit.NoError(t, os.WriteFile(path+"-wal", nil, 0o600))
	testkit.NoError(t, checkWhole(path))
	testkit.NoError(t, os.WriteFile(path+"-wal", []byte("frames"), 0o600))
	if err := checkWhole(path); err == nil || !strings.Contains(err.Error(), "portal.db-wal has a part") {
		t.Errorf("got %v, want that a part is in portal.db-wal", err)
	}
}
