package app

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/backup"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestBackupsAtSetTimes: the portal makes the first backup, the next when it is due, keeps
// the newest, and after one that was not made waits an hour.
func TestBackupsAtSetTimes(t *testing.T) {
	folder, data := t.TempDir(), t.TempDir()
	environ := maps.Clone(fixture.FastCA())
	maps.Copy(environ, map[string]string{
		"CERTPORTAL_BACKUP_FOLDER": folder, "CERTPORTAL_BACKUP_KEEP": "2",
		"CERTPORTAL_BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
	})
	p := testkit.Must(openWith(t, data, environ))(t)
	other := filepath.Join(folder, "certportal-notes.txt")
	testkit.NoError(t, os.WriteFile(other, nil, 0o600))
	start := time.Now()
	at := func(since time.Duration, due bool) string {
		t.Helper()
		p.Now = func() time.Time { return start.Add(since) }
		made, err := p.backUpIfDue(t.Context())
		testkit.NoError(t, err)
		testkit.Equal(t, "made", made != "", due)
		return made
	}
	first := at(0, true)
	at(23*time.Hour, false)
	at(25*time.Hour, true)
	last := at(50*time.Hour, true)
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("the oldest of three is there: %v", err)
	}
	if files := testkit.Must(os.ReadDir(folder))(t); len(files) != 3 {
		t.Errorf("got %v, want two backups and the notes", files)
	}
	known := testkit.Must(backup.ReadLast(data))(t)
	if known.File != last || known.Size == 0 || !known.Failed.IsZero() {
		t.Errorf("last: got %+v, want %s", known, last)
	}
	testkit.NoError(t, os.RemoveAll(folder))
	p.Now = func() time.Time { return start.Add(80 * time.Hour) }
	if _, err := p.backUpIfDue(t.Context()); err == nil {
		t.Error("no error without the folder")
	}
	if known := testkit.Must(backup.ReadLast(data))(t); known.Failure == "" || known.File != last {
		t.Errorf("last: got %+v, want the failure, and the one before", known)
	}
	testkit.NoError(t, os.Mkdir(folder, 0o700))
	at(80*time.Hour+30*time.Minute, false)
	at(82*time.Hour, true)
}
