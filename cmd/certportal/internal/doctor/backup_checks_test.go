package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// The age of the last backup, a failure since then and a file that is gone are found.
func TestBackupAge(t *testing.T) {
	tests := []struct {
		name, last, folder string
		want               []portal.FindingState
		words              string
	}{
		{"none", "", "", []portal.FindingState{portal.FindingInfo}, "knows of none"},
		{"fresh", `{"at":"2026-11-22T00:00:00Z","file":"/b/x"}`, "", []portal.FindingState{portal.FindingOK}, "/b/x"},
		{"old", `{"at":"2026-11-18T00:00:00Z","file":"/b/x"}`, "", []portal.FindingState{portal.FindingWarning}, "2026-11-18"},
		{"two are missing", `{"at":"2026-11-20T00:00:00Z","file":"/b/x"}`, "/b", []portal.FindingState{portal.FindingWarning}, "2026-11-20"},
		{"one failed", `{"at":"2026-11-22T00:00:00Z","file":"/b/x","failed":"2026-11-22T09:00:00Z","failure":"disk full"}`, "/b",
			[]portal.FindingState{portal.FindingOK, portal.FindingWarning}, "disk full"},
		{"the first failed", `{"failed":"2026-11-22T09:00:00Z","failure":"disk full"}`, "/b", []portal.FindingState{portal.FindingWarning}, "disk full"},
		{"gone from the portal's folder", `{"at":"2026-11-22T00:00:00Z","file":"/b/y"}`, "/b",
			[]portal.FindingState{portal.FindingOK, portal.FindingWarning}, "y is not there any more"},
		{"gone from elsewhere", `{"at":"2026-11-22T00:00:00Z","file":"/b/y"}`, "", []portal.FindingState{portal.FindingOK, portal.FindingInfo}, "y is not there any more"},
		{"damaged", "{", "", []portal.FindingState{portal.FindingWarning}, "last backup"},
	}
	for _, tt := range tests {
		s := config.Defaults()
		folder := t.TempDir() // /b in the table, with the file x
		testkit.NoError(t, os.WriteFile(filepath.Join(folder, "x"), nil, 0o600))
		in := func(text string) string { return strings.ReplaceAll(text, "/b", folder) }
		s.Data, s.Backup.Folder = t.TempDir(), in(tt.folder)
		if tt.last != "" {
			testkit.NoError(t, os.WriteFile(filepath.Join(s.Data, "last-backup.json"), []byte(in(tt.last)), 0o600))
		}
		d := New(Config{Settings: &s, Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }})
		var states []portal.FindingState
		text := ""
		for _, f := range d.checkBackups(t.Context()) {
			states, text = append(states, f.State), text+f.Text
		}
		if len(states) != len(tt.want) || states[0] != tt.want[0] || states[len(states)-1] != tt.want[len(tt.want)-1] || !strings.Contains(text, in(tt.words)) {
			t.Errorf("%s: got %v %q, want %v", tt.name, states, text, tt.want)
		}
	}
}
