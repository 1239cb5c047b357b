package app

import (
	"os"
	"path/filepath"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestWritableFolders: where journal and backups cannot be written is said before the start.
func TestWritableFolders(t *testing.T) {
	s := config.Defaults()
	s.Data = t.TempDir()
	testkit.Equal(t, "journal", textOf(writableFindings(&s)), "ok revocation.journal: this account may write into "+s.Data+"\n")
	testkit.Equal(t, "left", len(testkit.Must(os.ReadDir(s.Data))(t)), 0)
	s.Data = filepath.Join(s.Data, "later")
	testkit.Equal(t, "before the first start", textOf(writableFindings(&s)), "")
	s.Backup.Folder = filepath.Join(s.Data, "backups")
	f := writableFindings(&s)
	if len(f) != 1 || f[0].State != portal.FindingFailed {
		t.Errorf("a folder that is not there: %s", textOf(f))
	}
	file := filepath.Join(t.TempDir(), "file")
	testkit.NoError(t, os.WriteFile(file, nil, 0o600))
	s.Revocation.Journal = filepath.Join(file, "journal") // root may write into every folder
	if f := writableFindings(&s); f[0].State != portal.FindingFailed || f[0].What != "revocation.journal" {
		t.Errorf("no folder: %s", textOf(f))
	}
}

// TestServiceTakesPorts reads drop-ins as systemd does.
func TestServiceTakesPorts(t *testing.T) {
	folder := t.TempDir()
	testkit.Equal(t, "none", serviceTakesPorts(folder), false)
	for text, want := range map[string]bool{
		"[Service]\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n": true, "[Service]\n# AmbientCapabilities=CAP_NET_BIND_SERVICE\n": false,
		"[Service]\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n": false,
	} {
		testkit.NoError(t, os.WriteFile(filepath.Join(folder, "setup.conf"), []byte(text), 0o644))
		testkit.Equal(t, text, serviceTakesPorts(folder), want)
	}
}
