package backup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/auditmonitor"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// older is the installation with its records in an older schema.
func (i *installation) older(t *testing.T, address string, version int64) *installation {
	t.Helper()
	to := fixture.EmptyOf(t, address)
	fixture.CopyToOlder(t, address, to, version)
	old := *i
	old.DB = fixture.Open(t, to, func(c *store.Config) { c.AsIs, c.Older = true, true })
	return &old
}

// A backup of any schema that can be brought up to date is verified and restored, and then
// has the newest.
func TestF17_BackupOfAnOlderSchema(t *testing.T) {
	newest := testkit.Must(store.SchemaVersion())(t)
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		i := newInstallation(t, address)
		ctx := t.Context()
		good := fixture.NewEnrolment(t, "anna", "Phone").Issue(t, i.DB)
		lost := fixture.NewEnrolment(t, "ben", "Phone").Issue(t, i.DB)
		revoke(t, i.DB, lost.Serial())
		testkit.NoError(t, i.DB.SaveSession(ctx, [32]byte{1}, "anna", []byte("x"), time.Hour, testkit.Noon.Add(240*time.Hour), testkit.Noon))
		for _, version := range []int64{10, newest - 1} {
			old := i.older(t, address, version)
			path, r, err := MakeBefore(ctx, old.Source, t.TempDir(), newest, old.seal)
			testkit.NoError(t, err)
			testkit.Equal(t, "schema", r.Schema, version)
			verified := testkit.Must(Verify(ctx, path, i.key, t.TempDir()))(t)
			testkit.Equal(t, "older", verified.Older, true)

			to := i.target(t)
			testkit.Must(Restore(ctx, path, i.key, to))(t)
			db := fixture.Open(t, to.Database, func(c *store.Config) { c.AsIs = true }) // has the newest
			testkit.Equal(t, "anna", testkit.Must(db.Status(ctx, good.Serial()))(t).State, ocsp.Good)
			testkit.Equal(t, "ben", testkit.Must(db.Status(ctx, lost.Serial()))(t).State, ocsp.Revoked)
			testkit.Equal(t, "halt", testkit.Must(db.Halted(ctx))(t).Reason, admin.RestoredCopy)
			if _, err := db.Session(ctx, [32]byte{1}, to.Now()); err == nil {
				t.Error("a session came back")
			}
			log := testkit.Must(auditmonitor.Verify(ctx, db, auditmonitor.Options{}))(t)
			if log.Broken != nil {
				t.Errorf("schema %d: %v", version, log.Broken)
			}
			c := testkit.Must(db.Certificate(ctx, good.Serial()))(t)
			testkit.Equal(t, "status", c.Status, portal.Issued)
		}
	})
}

// Three backups of before an upgrade stay, with that just made; other files are left alone.
func TestF17_BackupsOfBeforeAreBounded(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	folder := t.TempDir()
	others := []string{FileName(testkit.Noon.Add(-time.Hour)), "certportal-before-schema-9-mine.tar.age"}
	for _, name := range others {
		testkit.NoError(t, os.WriteFile(filepath.Join(folder, name), nil, 0o600))
	}
	at := testkit.Noon
	i.Now = func() time.Time { return at }
	var made []string
	for n := range KeptBefore + 2 {
		path, _, err := MakeBefore(t.Context(), i.Source, folder, int64(31+n), i.seal)
		testkit.NoError(t, err)
		made = append(made, filepath.Base(path))
		at = at.Add(time.Millisecond)
	}
	var names []string
	for _, e := range testkit.Must(os.ReadDir(folder))(t) {
		names = append(names, e.Name())
	}
	want := append(others, made[2:]...)
	slices.Sort(want)
	testkit.Equal(t, "files", strings.Join(names, " "), strings.Join(want, " "))
	if last := testkit.Must(ReadLast(i.Data))(t); !last.At.IsZero() {
		t.Errorf("it counts as the last backup: %+v", last)
	}
}

// The key in the data folder is made once, is closed to others, and opens the backup.
func TestF17_OwnSealOpensWhatItSealed(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	first := testkit.Must(OwnSeal(i.Data))(t)
	seal := testkit.Must(OwnSeal(i.Data))(t)
	testkit.Equal(t, "key", seal.Recipients[0], first.Recipients[0])
	key := filepath.Join(i.Data, BeforeKey)
	testkit.Equal(t, "mode", testkit.Must(os.Stat(key))(t).Mode().Perm(), 0o600)
	path, _, err := MakeBefore(t.Context(), i.Source, i.Data, 99, seal)
	testkit.NoError(t, err)
	testkit.Must(Verify(t.Context(), path, Key{Identities: testkit.Must(os.ReadFile(key))(t)}, t.TempDir()))(t)
}
