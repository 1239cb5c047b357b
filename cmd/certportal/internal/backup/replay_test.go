package backup

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// withJournal is a backup of SQLite with another journal in it, as when entries were made
// after the database was copied.
func withJournal(t *testing.T, i *installation, file, journal string) string {
	t.Helper()
	files, order := make(map[string]string), []string{headerName}
	r, err := unpack(file, i.key, func(h Header) sink {
		files[headerName] = string(testkit.Must(json.Marshal(h))(t))
		return sink{file: func(name string, r io.Reader) error {
			content, err := io.ReadAll(r)
			files[name], order = string(content), append(order, name)
			return err
		}}
	})
	testkit.NoError(t, err)
	i.rows = r.Rows
	files[journalName] = string(testkit.Must(os.ReadFile(journal))(t))
	return made(t, i, files, order...)
}

// TestF15_JournalThatIsNotNewer: a journal that ends before the backup does not count as one
// that outlived it, and that in the backup is replayed all the same.
func TestF15_JournalThatIsNotNewer(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	lost := fixture.NewEnrolment(t, "ben", "Phone").Issue(t, i.DB)
	i.follow(t, 1)
	old := filepath.Join(t.TempDir(), "old.journal")
	testkit.NoError(t, os.WriteFile(old, testkit.Must(os.ReadFile(i.Journal))(t), 0o600))
	file, to := i.backup(t), i.target(t)
	revoke(t, i.DB, lost.Serial())
	i.follow(t, 2)
	to.Newer = old
	o, err := Restore(t.Context(), withJournal(t, i, file, i.Journal), i.key, to)
	testkit.NoError(t, err)
	if !o.Given || o.Newer || o.Recalled != 1 || o.Since.Revoked != 1 {
		t.Errorf("given %v, newer %v, recalled %d, since %+v; want given, not newer, one recalled", o.Given, o.Newer, o.Recalled, o.Since)
	}
	db := fixture.Open(t, to.Database)
	testkit.Equal(t, "state", testkit.Must(db.Status(t.Context(), lost.Serial()))(t).State, ocsp.Revoked)
	testkit.Contains(t, "journal", string(testkit.Must(os.ReadFile(to.Journal))(t)), `"revoked":`)
}

// TestF15_DamagedJournalIsNamed: an operator finds the file by the name that was given.
func TestF15_DamagedJournalIsNamed(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	fixture.NewEnrolment(t, "ben", "Phone").Issue(t, i.DB)
	i.follow(t, 1)
	text := string(testkit.Must(os.ReadFile(i.Journal))(t))
	damaged := filepath.Join(t.TempDir(), "kept.journal")
	testkit.NoError(t, os.WriteFile(damaged, []byte("no line\n"+text), 0o600))
	file, to := i.backup(t), i.target(t)
	to.Newer = damaged
	_, err := Restore(t.Context(), file, i.key, to)
	testkit.Contains(t, "error", fmt.Sprint(err), "journal "+damaged)
	testkit.Equal(t, "the temporary name in it", strings.Contains(fmt.Sprint(err), stagePrefix), false)

	to = i.target(t)
	testkit.NoError(t, os.MkdirAll(filepath.Dir(to.Journal), 0o700))
	testkit.NoError(t, os.Symlink(i.Journal, to.Journal))
	_, err = Restore(t.Context(), file, i.key, to)
	testkit.Contains(t, "a link", fmt.Sprint(err), "is a symbolic link")
}

// TestF15_RestoreListsWhatOtherCAsIssued: the portal forgets whose they are, and cannot
// revoke them there.
func TestF15_RestoreListsWhatOtherCAsIssued(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	fixture.NewEnrolment(t, "ben", "Phone").Issue(t, i.DB)
	i.follow(t, 1)
	file, to := i.backup(t), i.target(t)
	fixture.NewEnrolment(t, "anna", "Phone").Issue(t, i.DB)
	i.follow(t, 2)
	elsewhere := fixture.NewSerial(t)
	f := testkit.Must(os.OpenFile(i.Journal, os.O_WRONLY|os.O_APPEND, 0))(t)
	fmt.Fprintf(f, `{"seq":99,"hash":"%s","issuer":"upstream-company","serial":"%s"}`+"\n", strings.Repeat("ab", 32), elsewhere)
	testkit.NoError(t, f.Close())
	to.Newer = i.Journal
	o, err := Restore(t.Context(), file, i.key, to)
	testkit.NoError(t, err)
	testkit.Equal(t, "issued", o.Since.Issued, 2)
	if len(o.Since.Elsewhere) != 1 || o.Since.Elsewhere[0] != (crl.Elsewhere{Authority: "company", Serial: elsewhere}) {
		t.Errorf("elsewhere: got %+v, want %s at company", o.Since.Elsewhere, elsewhere)
	}
}
