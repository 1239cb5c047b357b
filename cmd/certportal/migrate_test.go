package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/backup"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/sqldb"
)

// olderPortal is the data folder of a portal whose database has an older schema.
func olderPortal(t *testing.T, version int64) string {
	t.Helper()
	data, newest := t.TempDir(), filepath.Join(t.TempDir(), "portal.db")
	file := filepath.Join(data, "portal.db")
	mustRun(t, "--data", data, "ca", "init")
	mustRun(t, "--data", data, "user", "add", "anna")
	testkit.NoError(t, os.Rename(file, newest))
	fixture.CopyToOlder(t, newest, file, version)
	return data
}

// copyOf copies a data folder in which no program works.
func copyOf(t *testing.T, data string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	testkit.NoError(t, os.CopyFS(dir, os.DirFS(data)))
	for _, pattern := range []string{"*", "ca/*"} {
		for _, file := range testkit.Must(filepath.Glob(filepath.Join(dir, pattern)))(t) {
			if info := testkit.Must(os.Stat(file))(t); info.Mode().IsRegular() {
				testkit.NoError(t, os.Chmod(file, 0o600))
			}
		}
	}
	return dir
}

func schemaIn(t *testing.T, data string) int64 {
	t.Helper()
	plan := testkit.Must(store.PlanUpgrade(t.Context(), filepath.Join(data, "portal.db")))(t)
	return plan.Found
}

func backupsOfBefore(t *testing.T, folder string) []string {
	t.Helper()
	return testkit.Must(filepath.Glob(filepath.Join(folder, "certportal-before-schema-*")))(t)
}

// migrate --check says what would be done and does nothing of it.
func TestMigrateCheck(t *testing.T) {
	newest := testkit.Must(store.SchemaVersion())(t)
	data := olderPortal(t, 12)
	r := certportal(t, "", "--data", data, "migrate", "--check")
	testkit.Equal(t, "exit code", r.code, 3)
	for _, want := range []string{"Schema: 12 here", "13 search indexes", "table certificates (0 rows): builds an index", "table crl_numbers", "A backup is made before"} {
		testkit.Contains(t, "check", r.out, want)
	}
	var plan sqldb.Plan
	r = certportal(t, "", "--data", data, "migrate", "--check", "--json")
	testkit.NoError(t, json.Unmarshal([]byte(r.out), &plan))
	testkit.Equal(t, "steps", len(plan.Steps), int(newest-12))
	testkit.Equal(t, "schema", schemaIn(t, data), 12)
	testkit.Equal(t, "backups", len(backupsOfBefore(t, data)), 0)

	testkit.Contains(t, "migrate", mustRun(t, "--data", data, "migrate"), "from schema 12 to")
	r = certportal(t, "", "--data", data, "migrate", "--check")
	testkit.Equal(t, "exit code afterwards", r.code, 0)
	testkit.Contains(t, "check afterwards", r.out, "Nothing is to be done")
	testkit.Contains(t, "again", mustRun(t, "--data", data, "migrate"), "is up to date")
	testkit.Must(fixture.Plain(t, filepath.Join(data, "portal.db")).Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)"))(t)
	r = certportal(t, "", "--data", data, "migrate", "--check")
	testkit.Equal(t, "exit code for a newer one", r.code, 78)
	r = certportal(t, "", "--data", t.TempDir(), "migrate", "--check")
	testkit.Equal(t, "exit code without a portal", r.code, 1)
}

// Before the start brings a database up to date, a backup of it is made, and a restore of
// that has the newest schema.
func TestF17_BackupBeforeTheSchemaChanges(t *testing.T) {
	data := olderPortal(t, 29)
	p := testkit.Must(openApp(t, data))(t)
	testkit.NoError(t, p.Close())
	made := backupsOfBefore(t, data)
	if len(made) != 1 || schemaIn(t, data) < 30 {
		t.Fatalf("backups %v, schema %d", made, schemaIn(t, data))
	}
	key := filepath.Join(data, backup.BeforeKey)
	testkit.Contains(t, "verify", mustRun(t, "backup", "verify", made[0], "--identity-file", key), "schema 29")
	again := filepath.Join(t.TempDir(), "again")
	mustRun(t, "restore", "--from", made[0], "--data", again, "--identity-file", key)
	testkit.Contains(t, "people", mustRun(t, "--data", again, "user", "list"), "anna")
	testkit.Equal(t, "backups of one that is up to date", len(backupsOfBefore(t, again)), 0)
}

// Without the backup the database stays as it is, unless the operator goes on without.
func TestF17_NoUpgradeWithoutABackup(t *testing.T) {
	data := olderPortal(t, 29)
	inFolder, without := copyOf(t, data), copyOf(t, data)
	blocked := filepath.Join(t.TempDir(), "file")
	testkit.NoError(t, os.WriteFile(blocked, nil, 0o600))
	key := testkit.Must(age.GenerateX25519Identity())(t)
	environ := map[string]string{"CERTPORTAL_BACKUP_FOLDER": filepath.Join(blocked, "in"), "CERTPORTAL_BACKUP_RECIPIENTS": key.Recipient().String()}
	for _, command := range [][]string{{"migrate"}, {"serve"}} {
		r := within(t, data, environ, command...)
		testkit.Equal(t, "exit code", r.code, exitFailed)
		testkit.Contains(t, "the sentence", r.err, "the database was not changed, because the backup of before could not be made")
		testkit.Equal(t, "schema", schemaIn(t, data), 29)
	}
	r := within(t, data, environ, "migrate", "--without-backup")
	testkit.Equal(t, "exit code", r.code, exitDone)
	if schemaIn(t, data) < 30 {
		t.Error("the schema is not up to date")
	}
	if _, err := os.Stat(filepath.Join(data, "portal.db-upgrade")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock is left: %v", err)
	}

	environ["CERTPORTAL_BACKUP_FOLDER"] = t.TempDir()
	testkit.Equal(t, "exit code", within(t, inFolder, environ, "user", "list").code, exitDone)
	made := backupsOfBefore(t, environ["CERTPORTAL_BACKUP_FOLDER"])
	testkit.Equal(t, "backups in the folder", len(made), 1)
	identity := filepath.Join(t.TempDir(), "key")
	testkit.NoError(t, os.WriteFile(identity, []byte(key.String()+"\n"), 0o600))
	mustRun(t, "backup", "verify", made[0], "--identity-file", identity)

	environ = map[string]string{"CERTPORTAL_BACKUP_BEFORE_UPGRADE": "false"}
	testkit.Equal(t, "exit code", within(t, without, environ, "user", "list").code, exitDone)
	testkit.Equal(t, "backups", len(backupsOfBefore(t, without)), 0)
}

// A portal that runs on a file keeps migrate away.
func TestMigrateWhileAPortalRuns(t *testing.T) {
	data := t.TempDir()
	p := testkit.Must(openApp(t, data))(t)
	defer p.Close()
	r := certportal(t, "", "--data", data, "migrate")
	testkit.Equal(t, "exit code", r.code, exitFailed)
	testkit.Contains(t, "the sentence", r.err, "runs on "+data+": stop it, then give this command again")
	if strings.Contains(r.err, "another data folder") {
		t.Errorf("that is for serve: %q", r.err)
	}
}

// A command beside a portal of the older version leaves the schema as it is: that portal would
// write nothing more. Only a portal of the same version is beside a command that goes on.
func TestF17_CommandsBesideAnOlderPortalDoNotMigrate(t *testing.T) {
	data := olderPortal(t, 29)
	s := config.Defaults()
	s.Data = data
	lock := testkit.Must(app.LockData(&s))(t) // as the older portal has it
	for _, command := range [][]string{
		{"user", "list"}, {"list"}, {"audit", "verify"}, {"ca", "show"}, {"ca", "csr", "--out", filepath.Join(t.TempDir(), "csr")},
	} {
		r := certportal(t, "", append([]string{"--data", data}, command...)...)
		testkit.Equal(t, strings.Join(command, " "), r.code, exitFailed)
		testkit.Contains(t, "the sentence", r.err, "stop the portal, run certportal migrate")
	}
	testkit.Equal(t, "schema", schemaIn(t, data), 29)
	testkit.Equal(t, "backups", len(backupsOfBefore(t, data)), 0)
	testkit.NoError(t, lock.Close())
	testkit.Contains(t, "without a portal", mustRun(t, "--data", data, "user", "list"), "anna")
	lock = testkit.Must(app.LockData(&s))(t)
	testkit.Contains(t, "beside one of this version", mustRun(t, "--data", data, "user", "list"), "anna")
	testkit.NoError(t, lock.Close())
}

// A backup by hand of an older database is made with the newer program too.
func TestF17_BackupCommandOfAnOlderSchema(t *testing.T) {
	data, file, passphrase := olderPortal(t, 20), filepath.Join(t.TempDir(), "FILE"), filepath.Join(t.TempDir(), "P")
	testkit.NoError(t, os.WriteFile(passphrase, []byte("correct horse battery\n"), 0o600))
	mustRun(t, "backup", "--data", data, "--to", file, "--passphrase-file", passphrase)
	testkit.Equal(t, "schema", schemaIn(t, data), 20)
	testkit.Contains(t, "verify", mustRun(t, "backup", "verify", file, "--passphrase-file", passphrase), "It is of an older version")
}

// The secret of an address is not for the command line, and flags exclude each other.
func TestMigrateToFlags(t *testing.T) {
	data := t.TempDir()
	mustRun(t, "--data", data, "ca", "init")
	for _, flags := range [][]string{
		{"--to", "host=db user=portal password=secret"}, {"--to", "postgres:/db/portal"}, {"--to", "records.db"},
		{"--to", "postgres://portal:secret@db/portal"}, {"--to", "postgres://db/portal?password=secret"}, {"--to", "a", "--check"},
		{"--to", "a", "--to-file", "b"}, {"--json"}, {"--without-backup", "--check"},
	} {
		r := certportal(t, "", append([]string{"--data", data, "migrate"}, flags...)...)
		testkit.Equal(t, "exit code", r.code, exitUsage)
		if strings.Contains(r.err, "secret") {
			t.Errorf("the secret is in %q", r.err)
		}
	}
	r := certportal(t, "", "--data", data, "migrate", "--to", "sqlite:"+filepath.Join(data, "portal.db"))
	testkit.Contains(t, "its own database", r.err, "the target is in use")
	r = certportal(t, "", "--data", data, "migrate", "--to", "postgres://portal@db.invalid/portal?sslmode=require")
	testkit.Contains(t, "without verified TLS", r.err, "Warning: the connection to db.invalid is not verified by TLS")
	r = certportal(t, "", "--data", data, "migrate", "--reopen")
	testkit.Contains(t, "reopening", r.err, "were not moved away")
	to := "sqlite:" + filepath.Join(data, "new.db")
	testkit.Contains(t, "moved", mustRun(t, "--data", data, "migrate", "--to", to), "Write into the settings: database: "+to)
	testkit.Contains(t, "again", mustRun(t, "--data", data, "migrate", "--to", to), "already")
	r = certportal(t, "", "--data", data, "user", "list")
	testkit.Contains(t, "the old one", r.err, "were moved to another one")
	for _, command := range []string{"serve", "user list", "audit verify", "migrate --check", "migrate --check --json", "migrate"} {
		r := certportal(t, "", append([]string{"--data", data}, strings.Fields(command)...)...)
		testkit.Equal(t, command, r.code, exitConfig)
		testkit.Contains(t, command, r.err, "set database or database_file to the new one; only when the new one is not in use: certportal migrate --reopen")
	}
	r = certportal(t, "", "--data", data, "config", "check")
	testkit.Equal(t, "config check", r.code, exitFailed)
	testkit.Contains(t, "config check", r.out, "set database or database_file to the new one")
	testkit.Contains(t, "reopened", mustRun(t, "--data", data, "migrate", "--reopen"), "Use one of the two only")
	mustRun(t, "--data", data, "user", "list")
}
