package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/backup"
	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// kills is how often a test kills on an engine: 5 times, and 100 times in long tests.
func kills(t *testing.T) int {
	t.Helper()
	if testkit.Times(t, 1) > 1 {
		return 100
	}
	return 5
}

// databaseOf is the address of the database of a folder: in its file address, else portal.db.
func databaseOf(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "address"))
	if err != nil {
		return "sqlite:" + filepath.Join(dir, "portal.db")
	}
	return string(text)
}

func environOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	return map[string]string{"CERTPORTAL_DATABASE": databaseOf(t, dir)}
}

func mustWithin(t *testing.T, dir string, command ...string) string {
	t.Helper()
	r := within(t, dir, environOf(t, dir), command...)
	if r.code != exitDone {
		t.Fatalf("%v: exit %d\n%s%s", command, r.code, r.out, r.err)
	}
	return r.out
}

// onEngine gives a copy of a data folder a database of an engine, of an older schema.
func onEngine(t *testing.T, data, newest, engine string, version int64) string {
	t.Helper()
	dir := copyOf(t, data)
	if engine == "postgres" {
		testkit.NoError(t, os.WriteFile(filepath.Join(dir, "address"), []byte(fixture.EmptyPostgres(t)), 0o600))
	}
	to := databaseOf(t, dir)
	if version == 0 {
		return dir
	}
	fixture.CopyToOlder(t, newest, to, version)
	return dir
}

// portalWithout is a data folder without its database, and that.
func portalWithout(t *testing.T) (data, newest string) {
	t.Helper()
	data, newest = t.TempDir(), filepath.Join(t.TempDir(), "portal.db")
	mustRun(t, "--data", data, "ca", "init")
	mustRun(t, "--data", data, "user", "add", "anna")
	testkit.NoError(t, os.Rename(filepath.Join(data, "portal.db"), newest))
	return data, newest
}

// tablesOf describes all tables, indexes and triggers of a database.
func tablesOf(t *testing.T, address string) string {
	t.Helper()
	query := "SELECT type || ' ' || name || ' ' || sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'goose%'"
	if strings.HasPrefix(address, "postgres") {
		query = `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') FROM information_schema.columns
			WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%'
			UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'goose%'
			UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal`
	}
	rows := testkit.Must(fixture.Plain(t, address).Query(query))(t)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var line string
		testkit.NoError(t, rows.Scan(&line))
		all = append(all, line)
	}
	testkit.NoError(t, rows.Err())
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// TestF17_KilledWhileTheSchemaChanges kills certportal migrate at random moments: the schema
// is that of a version and never between two, the backup of before is there once anything
// changed, a second command ends what the first did not, and the backup restores.
func TestF17_KilledWhileTheSchemaChanges(t *testing.T) {
	if dir, ok := daemon.KilledFolder(t); ok {
		mustWithin(t, dir, "migrate")
		return
	}
	const old = 20
	data, newest := portalWithout(t)
	for _, engine := range []string{"sqlite", "postgres"} {
		schemas, found := map[int64]string{}, map[int64]int{}
		var last string
		daemon.KillSometime(t, kills(t), func() string { return onEngine(t, data, newest, engine, old) }, func(dir string, done bool) {
			address := databaseOf(t, dir)
			plan := testkit.Must(store.PlanUpgrade(t.Context(), address))(t)
			found[plan.Found]++
			if schemas[plan.Found] == "" {
				fresh := fixture.EmptyOf(t, address)
				fixture.MakeSchema(t, fresh, plan.Found)
				schemas[plan.Found] = tablesOf(t, fresh)
			}
			if tablesOf(t, address) != schemas[plan.Found] {
				t.Errorf("%s: the tables are not those of schema %d", engine, plan.Found)
			}
			made := backupsOfBefore(t, dir)
			if plan.Found > old && len(made) == 0 {
				t.Errorf("schema %d without a backup of before", plan.Found)
			}
			mustWithin(t, dir, "migrate")
			testkit.Contains(t, "people", mustWithin(t, dir, "user", "list"), "anna")
			mustWithin(t, dir, "audit", "verify")
			for _, entry := range testkit.Must(os.ReadDir(dir))(t) {
				if done && strings.HasPrefix(entry.Name(), ".certportal-") {
					t.Errorf("left: %s", entry.Name())
				}
			}
			last = dir
		})
		t.Logf("%s: found schemas %v", engine, found)
		restoreBefore(t, last, engine, newest)
	}
}

// restoreBefore restores the backup of before of a data folder into a new one.
func restoreBefore(t *testing.T, dir, engine, newest string) {
	t.Helper()
	again := onEngine(t, t.TempDir(), newest, engine, 0)
	environ := map[string]string{"CERTPORTAL_DATABASE": databaseOf(t, again)}
	testkit.NoError(t, os.RemoveAll(filepath.Join(again, "address")))
	made := backupsOfBefore(t, dir)
	r := within(t, again, environ, "restore", "--from", made[len(made)-1], "--identity-file", filepath.Join(dir, backup.BeforeKey))
	testkit.Equal(t, "exit code of the restore", r.code, exitDone)
	r = within(t, again, environ, "user", "list")
	testkit.Contains(t, "people", r.out, "anna")
}

// TestF17_KilledWhileMoving kills certportal migrate --to at random moments, in both
// directions: the source records on, or the same command ends the move, and all records are
// in the target.
func TestF17_KilledWhileMoving(t *testing.T) {
	if dir, ok := daemon.KilledFolder(t); ok {
		mustWithin(t, dir, "migrate", "--to-file", filepath.Join(dir, "to"))
		return
	}
	data, newest := portalWithout(t)
	version := testkit.Must(store.SchemaVersion())(t)
	for _, engine := range []string{"sqlite", "postgres"} {
		outcomes := map[string]int{}
		daemon.KillSometime(t, kills(t), func() string {
			dir := onEngine(t, data, newest, engine, version)
			to := "sqlite:" + filepath.Join(t.TempDir(), "moved.db")
			if engine == "sqlite" {
				to = fixture.EmptyPostgres(t)
			}
			testkit.NoError(t, os.WriteFile(filepath.Join(dir, "to"), []byte(to), 0o600))
			return dir
		}, func(dir string, done bool) {
			to := string(testkit.Must(os.ReadFile(filepath.Join(dir, "to")))(t))
			moved := within(t, dir, environOf(t, dir), "user", "add", fmt.Sprintf("ben%d", len(outcomes)))
			outcomes[fmt.Sprintf("done %t, source records %t", done, moved.code == exitDone)]++
			if done == (moved.code == exitDone) && done {
				t.Error("the source records on after the move")
			}
			if !done {
				if r := within(t, dir, environOf(t, dir), "migrate", "--to-file", filepath.Join(dir, "to")); r.code != exitDone {
					// Killed after the last step: then the target is in use and whole.
					testkit.Contains(t, "again", r.err, "the target is in use")
				}
			}
			r := within(t, dir, map[string]string{"CERTPORTAL_DATABASE": to}, "user", "list")
			testkit.Contains(t, "people", r.out, "anna")
			testkit.Equal(t, "ben", strings.Contains(r.out, "ben"), moved.code == exitDone)
			testkit.Equal(t, "verified", within(t, dir, map[string]string{"CERTPORTAL_DATABASE": to}, "audit", "verify").code, exitDone)
		})
		t.Logf("from %s: %v", engine, outcomes)
	}
}
