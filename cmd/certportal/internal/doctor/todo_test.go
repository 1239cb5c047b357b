package doctor

import (
	"fmt"
	"io/fs"
	"testing"

	"certportal/cmd/certportal/internal/config"
)

// An account that may not read the folder is sent to the account of the portal, and not to
// a backup.
func TestWhatToDoWithTheWrongAccount(t *testing.T) {
	s := config.Defaults()
	s.Data = t.TempDir()
	d := New(Config{Settings: &s, Outside: &Outside{Served: true}})
	if got := d.caTodo(fmt.Errorf("opening: %w", fs.ErrPermission)); got != todoAccount {
		t.Errorf("got %q, want %q", got, todoAccount)
	}
	if got := d.caTodo(fmt.Errorf("opening: %w", fs.ErrNotExist)); got != todoRestore {
		t.Errorf("got %q, want %q", got, todoRestore)
	}
}
