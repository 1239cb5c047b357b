package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/backup"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestF15_BackupAndRestoreCommands runs the commands as the manual has them: a portal runs
// while it is backed up, and starts from what was restored, halted.
func TestF15_BackupAndRestoreCommands(t *testing.T) {
	folder := t.TempDir()
	data, again := filepath.Join(folder, "a[b*c"), filepath.Join(folder, "a[b*d") // no patterns
	file, passphrase := filepath.Join(folder, "FILE"), filepath.Join(folder, "P")
	testkit.NoError(t, os.WriteFile(passphrase, []byte("correct horse battery\n"), 0o600))
	p := testkit.Must(openApp(t, data))(t)
	mustRun(t, "--data", data, "user", "add", "anna")
	out := mustRun(t, "backup", "--data", data, "--to", file, "--passphrase-file", passphrase)
	testkit.Contains(t, "backup", out, "The passphrase of the CA's keys is not in it")
	out = mustRun(t, "backup", "verify", file, "--passphrase-file", passphrase)
	testkit.Contains(t, "verify", out, "database: sqlite")
	testkit.Contains(t, "verify without a portal", out, "No audit log was asked")
	testkit.Contains(t, "verify", mustRun(t, "backup", "verify", file, "--passphrase-file", passphrase, "--data", data), "has this file: entry")
	mustRun(t, "backup", "--data", data, "--to", file+".2", "--passphrase-file", passphrase)
	testkit.NoError(t, p.Close())

	restore := []string{"restore", "--from", file, "--data", again, "--passphrase-file", passphrase, "--journal", filepath.Join(data, "revocation.journal")}
	out = mustRun(t, restore...)
	testkit.Contains(t, "restore", out, "Issuing is stopped")
	testkit.Contains(t, "restore", out, "roles that were taken away are back")
	if r := certportal(t, "", restore...); r.code != exitFailed || !strings.Contains(r.err, "empty place") {
		t.Errorf("second restore: exit %d, %s", r.code, r.err)
	}
	testkit.NoError(t, os.Link(filepath.Join(data, "ca-passphrase"), filepath.Join(again, "ca-passphrase")))
	p = testkit.Must(openApp(t, again))(t)
	if halt := testkit.Must(p.DB.Halted(t.Context()))(t); halt.Reason == "" || p.CA.Sealed != nil {
		t.Errorf("started with halt %+v, sealed %v, want halted and open", halt, p.CA.Sealed)
	}
	testkit.Contains(t, "people", mustRun(t, "--data", again, "user", "list"), "anna")
	testkit.Contains(t, "a file of after the copy", mustRun(t, "backup", "verify", file+".2", "--passphrase-file", passphrase, "--data", again), "NOT IN THE AUDIT LOG")
	mustRun(t, "--data", again, "resume")
}

// TestF15_RestoreSaysWhatIsLost: a journal without anything newer is no journal of what was
// revoked since, and certificates of other CAs are listed.
func TestF15_RestoreSaysWhatIsLost(t *testing.T) {
	elsewhere := fixture.NewSerial(t)
	since := crl.Since{Issued: 3, Elsewhere: []crl.Elsewhere{{Authority: "company", Serial: elsewhere}}}
	for _, tt := range []struct {
		name    string
		outcome backup.Outcome
		good    bool
		want    string
	}{
		{"no journal", backup.Outcome{}, true, "no newer journal of revocations was given"},
		{"an old journal", backup.Outcome{Given: true}, true, "has nothing that the backup lacks"},
		{"the newest", backup.Outcome{Given: true, Newer: true, Recalled: 2}, false, "2 were revoked now"},
		{"with other CAs", backup.Outcome{Given: true, Newer: true, Since: since}, false, elsewhere.String() + " at company"},
	} {
		text := lost(tt.outcome)
		if strings.Contains(text, "REVOKED SINCE ARE GOOD AGAIN") != tt.good || !strings.Contains(text, tt.want) ||
			strings.Contains(text, "BY HAND") != (tt.outcome.Since.Elsewhere != nil) {
			t.Errorf("%s: %s", tt.name, text)
		}
	}
}

// A command line that lacks the key is wrong usage; a folder without a portal is named.
func TestBackupUsage(t *testing.T) {
	folder := t.TempDir()
	for _, args := range [][]string{
		{"backup", "--data", folder, "--to", filepath.Join(folder, "x")},
		{"backup", "verify", "x"},
		{"restore", "--from", "x", "--data", folder},
	} {
		if r := certportal(t, "", args...); r.code != exitUsage || !strings.Contains(r.err, "--passphrase-file") {
			t.Errorf("%v: exit %d, %s", args, r.code, r.err)
		}
	}
	passphrase := filepath.Join(folder, "P")
	testkit.NoError(t, os.WriteFile(passphrase, []byte("correct horse battery\n"), 0o600))
	r := certportal(t, "", "backup", "--data", filepath.Join(folder, "none"), "--to", filepath.Join(folder, "x"), "--passphrase-file", passphrase)
	if r.code != exitFailed || !strings.Contains(r.err, "there is no portal in") {
		t.Errorf("no portal: exit %d, %s", r.code, r.err)
	}
}
