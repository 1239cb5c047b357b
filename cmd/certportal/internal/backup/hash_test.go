package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"certportal/internal/audit"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store/sqldb"
)

// TestA19_BackupFileIsInTheAuditLog: a file that another program made is distinguished from one of the
// portal.
func TestA19_BackupFileIsInTheAuditLog(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	path, report, err := Make(t.Context(), i.Source, t.TempDir(), i.seal)
	testkit.NoError(t, err)
	sum := sha256.Sum256(testkit.Must(os.ReadFile(path))(t))
	testkit.Equal(t, "of the report", report.SHA256, hex.EncodeToString(sum[:]))
	entries := fixture.EntriesOf(t, i.DB, audit.BackupWritten)
	if len(entries) != 1 || entries[0].Object != report.SHA256 || entries[0].Detail["file"] != filepath.Base(path) {
		t.Errorf("entries %+v", entries)
	}
	testkit.Equal(t, "verified", testkit.Must(Verify(t.Context(), path, i.key, t.TempDir()))(t).SHA256, report.SHA256)
}

// TestF15_RestoreVerifies: what backup verify refuses is not restored, and leaves an empty
// place.
func TestF15_RestoreVerifies(t *testing.T) {
	onBoth(t, func(t *testing.T, i *installation) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, "anna", "Phone").Issue(t, i.DB)
		i.follow(t, 1)
		statements := []string{"DROP TRIGGER ledger_is_not_rewritten"}
		if i.DB.Shared() {
			statements = []string{"DROP TRIGGER ledger_is_append_only ON ledger"}
		}
		// Another name for the actor, and a certificate that was never reserved.
		for _, statement := range append(statements, "UPDATE ledger SET actor = 'another' WHERE seq = 2",
			"UPDATE ledger SET action = 'certificate.seen' WHERE action = 'certificate.reserved' AND object = '"+e.Serial().String()+"'") {
			testkit.NoError(t, i.DB.Write(ctx, time.Minute, "changing", func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.Exec(ctx, statement)
				return err
			}))
		}
		file, to := i.backup(t), i.target(t)
		_, err := Restore(ctx, file, i.key, to)
		testkit.Contains(t, "error", fmt.Sprint(err), "audit log in the backup does not verify")
		if left := testkit.Must(os.ReadDir(to.Data))(t); len(left) != 1 { // the lock
			t.Errorf("left: %v", left)
		}
		again := i.target(t)
		again.DespiteAuditLog = true
		o, err := Restore(ctx, file, i.key, again)
		testkit.NoError(t, err)
		testkit.Contains(t, "outcome", o.Altered, "does not verify: entry 2 was altered")
		testkit.Contains(t, "outcome", o.Altered, "certificate "+e.Serial().String()+" does not match")
		db := fixture.Open(t, again.Database)
		if halt := testkit.Must(db.Halted(ctx))(t); halt.Reason == "" {
			t.Error("issuing is not stopped")
		}
		said := ""
		for _, entry := range testkit.Must(db.Entries(ctx, 0, 1000))(t) {
			if entry.Action == audit.BackupRestored {
				said = entry.Detail["altered"]
			}
		}
		testkit.Equal(t, "audit log", said, o.Altered)
		if !i.DB.Shared() {
			_, err = Verify(ctx, file, i.key, t.TempDir())
			testkit.Contains(t, "verify", fmt.Sprint(err), "audit log in the backup does not verify")
			return
		}
		halt, err := fixture.Open(t, to.Database).Halted(ctx)
		if err == nil && halt.Reason == "" {
			t.Error("the database that was filled lets a portal issue")
		}
	})
}

// TestA17_BackupWithHoles: anyone who has the public key can make a backup. A file with holes
// (GNU.sparse) has a terabyte in a few bytes.
func TestA17_BackupWithHoles(t *testing.T) {
	i := newInstallation(t, fixture.SQLite(t))
	path := filepath.Join(t.TempDir(), "backup")
	f := testkit.Must(os.Create(path))(t)
	sealed := testkit.Must(age.Encrypt(f, testkit.Must(i.seal.recipients())(t)...))(t)
	w := &writer{tar: tar.NewWriter(sealed), made: testkit.Noon}
	testkit.NoError(t, w.addJSON(headerName, Header{Format: 1, Program: "x", Made: testkit.Noon, Engine: sqldb.SQLite, Schema: 30}))
	testkit.NoError(t, w.tar.Flush())
	testkit.Must(sealed.Write(sparse(databaseName, 1<<40)))(t)
	testkit.NoError(t, errors.Join(sealed.Close(), f.Close()))
	work, to := t.TempDir(), i.target(t)
	if _, err := Verify(t.Context(), path, i.key, work); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
	if _, err := Restore(t.Context(), path, i.key, to); !errors.Is(err, ErrDamaged) {
		t.Errorf("restore: %v", err)
	}
}

// sparse is the member of a tar archive that is one hole, in the format of GNU tar 1.0 in PAX.
func sparse(name string, size int64) []byte {
	record := func(key, value string) string {
		n := len(key) + len(value) + 3
		for n != len(fmt.Sprintf("%d %s=%s\n", n, key, value)) {
			n = len(fmt.Sprintf("%d %s=%s\n", n, key, value))
		}
		return fmt.Sprintf("%d %s=%s\n", n, key, value)
	}
	records := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
		record("GNU.sparse.name", name) + record("GNU.sparse.realsize", fmt.Sprint(size))
	holes := fmt.Sprintf("1\n%d\n0\n", size)
	return append(append(ustar("PaxHeaders.0/x", 'x', len(records)), block(records)...),
		append(ustar("GNUSparseFile.0/x", '0', 512), block(holes)...)...)
}

func block(text string) []byte { return append([]byte(text), make([]byte, (512-len(text)%512)%512)...) }

func ustar(name string, kind byte, size int) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000600\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00%011o\x00        ", size, 0))
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}
