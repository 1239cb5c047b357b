package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/sqldb"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// installation is a portal that is backed up.
type installation struct {
	Source
	seal Seal
	key  Key
	rows map[string]int64 // in the manifest of a backup that made makes
}

func newInstallation(t *testing.T, address string) *installation {
	t.Helper()
	data, ctx := t.TempDir(), t.Context()
	h := fixture.Hierarchy(t, ca.ECP256)
	testkit.Must(ca.CreateFolder(filepath.Join(data, "ca"), h, []byte("the CA's passphrase")))(t)
	testkit.NoError(t, os.WriteFile(filepath.Join(data, "ca-passphrase"), []byte("the CA's passphrase\n"), 0o600))
	settings := filepath.Join(t.TempDir(), "certportal.yaml")
	testkit.NoError(t, os.WriteFile(settings, []byte("organization: Example\n"), 0o600))
	db := fixture.Open(t, address)
	testkit.NoError(t, db.Note(ctx, audit.Entry{
		At: testkit.Noon, Action: audit.CACreated, Actor: "system", Role: "system",
		Detail: map[string]string{"root": ca.Fingerprint(h.Root), "issuing": ca.Fingerprint(h.Issuing)},
	}))
	identity := testkit.Must(age.GenerateX25519Identity())(t)
	return &installation{
		Source: Source{
			DB: db, Data: data, CA: filepath.Join(data, "ca"), Journal: filepath.Join(data, "revocation.journal"), Settings: settings,
			Program: "test", Now: func() time.Time { return testkit.Noon }, By: audit.Entry{Actor: "operator", Role: "operator"},
		},
		seal: Seal{Recipients: []string{identity.Recipient().String()}}, key: Key{Identities: []byte(identity.String())},
	}
}

// follow writes the journal, with a list of a number.
func (i *installation) follow(t *testing.T, number int64) {
	t.Helper()
	j := testkit.Must(crl.OpenJournal(crl.JournalConfig{
		Path: i.Journal, Store: i.DB, Now: i.Now, Log: slog.New(slog.DiscardHandler),
		Lists: func() []crl.List { return []crl.List{{Issuer: "issuing", Number: number}} },
	}))(t)
	testkit.NoError(t, errors.Join(j.Follow(t.Context()), j.Close()))
}

func (i *installation) backup(t *testing.T) string {
	t.Helper()
	path, _, err := Make(t.Context(), i.Source, t.TempDir(), i.seal)
	testkit.NoError(t, err)
	return path
}

// target is an empty place for a backup of the engine.
func (i *installation) target(t *testing.T) Target {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	to := Target{
		Data: data, Database: "sqlite:" + filepath.Join(data, "portal.db"), Journal: filepath.Join(data, "revocation.journal"),
		Now: func() time.Time { return testkit.Noon.Add(24 * time.Hour) }, By: i.By, Log: slog.New(slog.DiscardHandler),
	}
	if i.DB.Shared() {
		to.Database = fixture.EmptyPostgres(t)
	}
	return to
}

func onBoth(t *testing.T, test func(t *testing.T, i *installation)) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) { test(t, newInstallation(t, address)) })
}

func revoke(t *testing.T, db *store.DB, serial ca.Serial) {
	t.Helper()
	_, err := db.Revoke(t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Lost, At: testkit.Noon.Add(time.Hour),
		Entry: fixture.NewEntry(testkit.Noon.Add(time.Hour), "", "admin"),
	})
	testkit.NoError(t, err)
}

// TestF15_RestoreOfYesterday: with the journal that outlived the database nothing revoked
// since is good, what was issued since is revoked, the numbers of lists rise, sessions end,
// and nothing is issued.
func TestF15_RestoreOfYesterday(t *testing.T) {
	onBoth(t, func(t *testing.T, i *installation) {
		ctx := t.Context()
		good := fixture.NewEnrolment(t, "anna", "Phone").Issue(t, i.DB)
		lost := fixture.NewEnrolment(t, "ben", "Phone").Issue(t, i.DB)
		testkit.NoError(t, i.DB.SaveSession(ctx, [32]byte{1}, "anna", []byte("x"), time.Hour, testkit.Noon.Add(240*time.Hour), testkit.Noon))
		i.follow(t, 1)
		file := i.backup(t)
		revoke(t, i.DB, lost.Serial())
		since := fixture.NewEnrolment(t, "carl", "Phone").Issue(t, i.DB)
		const published = 1 << 52 // beyond the clock
		i.follow(t, published)

		to := i.target(t)
		to.Newer = i.Journal
		o, err := Restore(ctx, file, i.key, to)
		testkit.NoError(t, err)
		if !o.Given || !o.Newer || o.Recalled != 2 || o.Since.Revoked != 1 || o.Since.Issued != 1 || o.Since.Last <= o.Number {
			t.Errorf("outcome: given %v, recalled %d, since %+v, want two recalled, one revoked, one issued", o.Given, o.Recalled, o.Since)
		}
		db := fixture.Open(t, to.Database)
		for serial, want := range map[ca.Serial]ocsp.State{good.Serial(): ocsp.Good, lost.Serial(): ocsp.Revoked, since.Serial(): ocsp.Revoked} {
			testkit.Equal(t, "state", testkit.Must(db.Status(ctx, serial))(t).State, want)
		}
		testkit.Equal(t, "halt", testkit.Must(db.Halted(ctx))(t).Reason, admin.RestoredCopy)
		if _, err := db.Session(ctx, [32]byte{1}, to.Now()); err == nil {
			t.Error("a session came back")
		}
		lease := testkit.Must(db.AcquireLease(ctx, "issuing", "test", to.Now(), time.Minute))(t)
		if lease.Number <= published {
			t.Errorf("next list has number %d, want more than %d", lease.Number, published)
		}
		verified := testkit.Must(auditmonitor.Verify(ctx, db, auditmonitor.Options{}))(t)
		if verified.Broken != nil {
			t.Error(verified.Broken)
		}
		restored := fixture.EntriesOf(t, db, audit.BackupRestored)
		if len(restored) != 1 || restored[0].Detail["recalled"] != "2" || restored[0].Detail["altered"] != "" || len(fixture.EntriesOf(t, db, audit.BackupMade)) != 1 {
			t.Errorf("audit log: %+v", restored)
		}
		// The journal goes on with the new history: the next start finds nothing older.
		older := false
		j := testkit.Must(crl.OpenJournal(crl.JournalConfig{
			Path: to.Journal, Store: db, Log: slog.New(slog.DiscardHandler),
			Restored: func(context.Context) error { older = true; return nil },
		}))(t)
		_, err = j.Recover(ctx)
		testkit.NoError(t, errors.Join(err, j.Close()))
		testkit.Equal(t, "older at the next start", older, false)
	})
}

// A backup holds what a restore needs, no passphrase of the CA, and is closed to others.
func TestBackupHolds(t *testing.T) {
	onBoth(t, func(t *testing.T, i *installation) {
		fixture.NewEnrolment(t, "anna", "Phone").Issue(t, i.DB)
		i.follow(t, 1)
		path := i.backup(t)
		testkit.Equal(t, "mode", testkit.Must(os.Stat(path))(t).Mode().Perm(), 0o600)
		testkit.Equal(t, "name", filepath.Base(path), FileName(testkit.Noon))
		r, err := Verify(t.Context(), path, i.key, t.TempDir())
		testkit.NoError(t, err)
		var names []string
		for _, f := range r.Files {
			names = append(names, f.Name)
		}
		for _, name := range []string{"backup.json", "ca/issuing.key", "ca/root.key", "ca/issuing.crt", "revocation.journal", "settings.yaml"} {
			if !slices.Contains(names, name) {
				t.Errorf("%s is not in it: %v", name, names)
			}
		}
		if slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "passphrase") }) {
			t.Errorf("a passphrase is in it: %v", names)
		}
		if r.Rows["certificates"] != 1 || r.Rows["people"] != 1 || !r.Journal || r.Older {
			t.Errorf("report: %+v", r)
		}
		for _, folder := range []string{i.Data, filepath.Dir(path)} {
			for _, e := range testkit.Must(os.ReadDir(folder))(t) {
				if strings.HasPrefix(e.Name(), ".certportal") {
					t.Errorf("left over: %s", e.Name())
				}
			}
		}
		if _, _, err := Make(t.Context(), i.Source, path, i.seal); err == nil {
			t.Error("a backup was overwritten")
		}
	})
}

// Every cut and every changed byte is found, in the file and so in what is encrypted in it.
func TestDamagedBackup(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	whole := testkit.Must(os.ReadFile(i.backup(t)))(t)
	file := filepath.Join(t.TempDir(), "backup")
	verify := func(content []byte) error {
		testkit.NoError(t, os.WriteFile(file, content, 0o600))
		_, err := unpack(file, i.key, func(Header) sink {
			return sink{file: func(_ string, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }}
		})
		return err
	}
	testkit.NoError(t, verify(whole))
	step := len(whole) / 40
	for at := 0; at < len(whole); at += step {
		if err := verify(whole[:at]); !errors.Is(err, ErrDamaged) && !(at < 30 && errors.Is(err, ErrForeign)) {
			t.Errorf("cut at %d: %v", at, err)
		}
		changed := bytes.Clone(whole)
		changed[at] ^= 1
		if err := verify(changed); !errors.Is(err, ErrDamaged) && !(at < 30 && errors.Is(err, ErrForeign)) && !(at < 300 && errors.Is(err, ErrKey)) {
			t.Errorf("changed at %d: %v", at, err)
		}
	}
	if err := verify(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}

// made encrypts files as a backup of them would be.
func made(t *testing.T, i *installation, files map[string]string, order ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	f := testkit.Must(os.Create(path))(t)
	sealed := testkit.Must(age.Encrypt(f, testkit.Must(i.seal.recipients())(t)...))(t)
	w := &writer{tar: tar.NewWriter(sealed), made: testkit.Noon}
	for _, name := range order {
		testkit.NoError(t, w.add(name, int64(len(files[name])), strings.NewReader(files[name])))
	}
	testkit.NoError(t, w.addJSON(manifestName, Manifest{Files: w.files, Rows: i.rows}))
	testkit.NoError(t, errors.Join(w.tar.Close(), sealed.Close(), f.Close()))
	return path
}

// Backups of others, of newer programs and with names that lead out of the folder.
func TestForeignBackups(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	header := func(format, schema string) string {
		return `{"format":` + format + `,"program":"9.9","made":"2030-01-01T00:00:00Z","engine":"sqlite","schema":` + schema + `}`
	}
	plain := filepath.Join(t.TempDir(), "plain")
	testkit.NoError(t, os.WriteFile(plain, []byte("PK\x03\x04 something else"), 0o600))
	empty := filepath.Join(t.TempDir(), "empty")
	testkit.NoError(t, os.WriteFile(empty, nil, 0o600))
	other := testkit.Must(age.GenerateX25519Identity())(t)
	for _, test := range []struct {
		name, file string
		key        Key
		want       error
	}{
		{"not encrypted", plain, i.key, ErrForeign},
		{"empty", empty, i.key, ErrForeign},
		{"passphrase of one to recipients", i.backup(t), Key{Passphrase: "correct horse battery"}, ErrKey},
		{"another key", i.backup(t), Key{Identities: []byte(other.String())}, ErrKey},
		{"other files", made(t, i, map[string]string{"a": "b"}, "a"), i.key, ErrForeign},
		{"no header", made(t, i, map[string]string{headerName: "{}"}, headerName), i.key, ErrForeign},
		{"newer format", made(t, i, map[string]string{headerName: header("2", "30")}, headerName), i.key, ErrNewer},
		{"newer schema", made(t, i, map[string]string{headerName: header("1", "9999")}, headerName), i.key, ErrNewer},
		{"out of the folder", made(t, i, map[string]string{headerName: header("1", "30"), "ca/../../x": "y"}, headerName, "ca/../../x"), i.key, ErrForeign},
		{"absolute", made(t, i, map[string]string{headerName: header("1", "30"), "/etc/x": "y"}, headerName, "/etc/x"), i.key, ErrForeign},
		{"nothing in it", made(t, i, map[string]string{headerName: header("1", "30")}, headerName), i.key, ErrDamaged},
		{"rows in SQLite", made(t, i, map[string]string{headerName: header("1", "30"), "database/halt/000001": "x"}, headerName, "database/halt/000001"), i.key, ErrForeign},
	} {
		t.Run(test.name, func(t *testing.T) {
			to := i.target(t)
			if _, err := Restore(t.Context(), test.file, test.key, to); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if left := testkit.Must(os.ReadDir(to.Data))(t); len(left) != 1 { // the lock
				t.Errorf("left: %v", left)
			}
		})
	}
}

// A restore takes an empty place only, and of two at once one.
func TestRestoreIntoAUsedPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, i *installation) {
		ctx, file, to := t.Context(), i.backup(t), i.target(t)
		errs := make([]error, 2)
		var both sync.WaitGroup
		for n := range errs {
			both.Go(func() { _, errs[n] = Restore(ctx, file, i.key, to) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), ErrUsed) {
			t.Fatalf("two at once: %v and %v, want that one restores", errs[0], errs[1])
		}
		if _, err := Restore(ctx, file, i.key, to); !errors.Is(err, ErrUsed) {
			t.Errorf("used: %v", err)
		}
		other := i.target(t) // its folder is empty
		if i.DB.Shared() {
			other.Database = to.Database
		} else {
			testkit.NoError(t, os.MkdirAll(other.Data, 0o700))
			testkit.NoError(t, os.WriteFile(filepath.Join(other.Data, "notes.txt"), nil, 0o600))
		}
		if _, err := Restore(ctx, file, i.key, other); !errors.Is(err, ErrUsed) {
			t.Errorf("used database or folder: %v", err)
		}
		if i.DB.Shared() {
			other.Database = "sqlite:" + filepath.Join(other.Data, "portal.db")
		} else {
			other = i.target(t)
			other.Database = "postgres://nowhere.invalid/portal"
		}
		if _, err := Restore(ctx, file, i.key, other); err == nil || !strings.Contains(err.Error(), "this is a backup of") {
			t.Errorf("other engine: %v", err)
		}
	})
}

// A journal that cannot be read is found before anything is filled.
func TestF15_JournalThatIsNotThere(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	to := i.target(t)
	to.Newer = filepath.Join(t.TempDir(), "mistyped.journal")
	if _, err := Restore(t.Context(), filepath.Join(t.TempDir(), "no backup"), i.key, to); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--journal") {
		t.Errorf("got %v, want that the journal is not there", err)
	}
}

// A journal of another portal is refused: its serials mean nothing here.
func TestF15_ForeignJournal(t *testing.T) {
	i, other := newInstallation(t, fixture.SQLite(t)), newInstallation(t, fixture.SQLite(t))
	for _, one := range []*installation{i, other} {
		fixture.NewEnrolment(t, "anna", "Phone").Issue(t, one.DB)
		one.follow(t, 1)
	}
	to := i.target(t)
	to.Newer = other.Journal
	if _, err := Restore(t.Context(), i.backup(t), i.key, to); err == nil || !strings.Contains(err.Error(), "of another portal") {
		t.Errorf("got %v, want that the journal is of another portal", err)
	}
}

// Where a journal is in the place of the settings, it counts without a flag.
func TestF15_JournalInItsPlace(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	lost := fixture.NewEnrolment(t, "ben", "Phone").Issue(t, i.DB)
	i.follow(t, 1)
	file, to := i.backup(t), i.target(t)
	revoke(t, i.DB, lost.Serial())
	i.follow(t, 2)
	to.Journal = i.Journal // revocation.journal on another disk
	o, err := Restore(t.Context(), file, i.key, to)
	testkit.NoError(t, err)
	db := fixture.Open(t, to.Database)
	testkit.Equal(t, "state", testkit.Must(db.Status(t.Context(), lost.Serial()))(t).State, ocsp.Revoked)
	testkit.Equal(t, "recalled", o.Recalled, 1)
	testkit.Equal(t, "engine", o.Engine, sqldb.SQLite)
}

// A passphrase opens what it closed, a short one closes nothing.
func TestPassphrase(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	i.seal = Seal{Passphrase: "correct horse battery", WorkFactor: 10}
	file := i.backup(t)
	if _, err := Verify(t.Context(), file, Key{Passphrase: i.seal.Passphrase}, ""); err != nil {
		t.Error(err)
	}
	if _, err := Verify(t.Context(), file, Key{Passphrase: "wrong horse battery"}, ""); !errors.Is(err, ErrKey) {
		t.Errorf("wrong passphrase: %v", err)
	}
	for _, seal := range []Seal{{}, {Passphrase: "short"}, {Recipients: []string{"age1nonsense"}}, {Passphrase: "correct horse battery", Recipients: []string{"x"}}} {
		if _, _, err := Make(t.Context(), i.Source, t.TempDir(), seal); err == nil {
			t.Errorf("%+v: a backup was made", seal)
		}
	}
}
