package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"filippo.io/age"

	"certportal/internal/audit"
	"certportal/internal/durable"
	"certportal/store"
	"certportal/store/sqldb"
)

// Source is the installation that a backup is made of. Nothing in it need stop.
type Source struct {
	DB       *store.DB
	Data     string // folder, in which the copy of a SQLite database lies until the backup is made
	CA       string // folder
	Journal  string // file
	Settings string // file; empty: there is none
	Program  string // version
	Now      func() time.Time
	By       audit.Entry // of the actor
}

// Make writes a backup into a file, or with a name of the time into a folder, and returns
// the path. Until it is whole and on disk there is nothing under that name.
func Make(ctx context.Context, from Source, to string, seal Seal) (string, Report, error) {
	recipients, err := seal.recipients()
	if err != nil {
		return "", Report{}, err
	}
	path := to
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		path = filepath.Join(to, FileName(from.Now()))
	}
	if _, err := os.Lstat(path); err == nil {
		return "", Report{}, fmt.Errorf("%s is there already: name a new file, or a folder", path)
	}
	lock, err := from.lock()
	if err != nil {
		return "", Report{}, err
	}
	defer lock.Close()
	report, err := from.into(ctx, path, recipients)
	return path, report, errors.Join(err, from.noteLast(path, report, err))
}

// lock makes sure that one backup of a data folder is made at a time.
func (s Source) lock() (*os.File, error) {
	lock, err := lockFile(filepath.Join(s.Data, "backup.lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("another backup of %s is being made", s.Data)
	}
	return lock, err
}

// into makes the file.
func (s Source) into(ctx context.Context, path string, recipients []age.Recipient) (report Report, err error) {
	if err := removeCopies(s.Data); err != nil {
		return Report{}, err
	}
	durable.RemoveTemporary(filepath.Dir(path), abandoned)
	sum := sha256.New()
	err = durable.CreateFrom(path, 0o600, func(w io.Writer) error {
		report, err = s.write(ctx, io.MultiWriter(w, sum), recipients)
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("making backup %s: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Report{}, fmt.Errorf("making backup: %w", err)
	}
	report.Size, report.SHA256 = info.Size(), digest(sum)
	return report, s.noteFile(ctx, path, report)
}

// noteFile writes into the audit log which file was made: an attacker with the public key of
// a recipient can make another one, which is not in the log.
func (s Source) noteFile(ctx context.Context, path string, r Report) error {
	entry := s.By
	entry.At, entry.Action, entry.Object = s.Now(), audit.BackupWritten, r.SHA256
	entry.Detail = map[string]string{"file": filepath.Base(path), "bytes": strconv.FormatInt(r.Size, 10)}
	if err := s.DB.Note(ctx, entry); err != nil {
		return fmt.Errorf("the backup %s is whole, but its SHA-256 is not in the audit log: %w", path, err)
	}
	return nil
}

// abandoned is the age of a file that no backup is still writing.
const abandoned = 24 * time.Hour

// FileName is the name of a backup of a time.
func FileName(at time.Time) string {
	return "certportal-" + at.UTC().Format("2006-01-02T150405Z") + ".tar.age"
}

// removeCopies removes what a killed backup left in the data folder.
func removeCopies(data string) error {
	left, err := durable.Named(data, sqldb.CopyPrefix)
	if err != nil {
		return err
	}
	for _, file := range left {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("removing what a killed backup left: %w", err)
		}
	}
	return nil
}

// write encrypts the archive as it is made.
func (s Source) write(ctx context.Context, to io.Writer, recipients []age.Recipient) (Report, error) {
	// Before the snapshot, so that no backup is without an entry.
	entry := s.By
	entry.At, entry.Action = s.Now(), audit.BackupMade
	if err := s.DB.Note(ctx, entry); err != nil {
		return Report{}, err
	}
	sealed, err := age.Encrypt(to, recipients...)
	if err != nil {
		return Report{}, err
	}
	w := &writer{tar: tar.NewWriter(sealed), made: s.Now().UTC().Truncate(time.Second)}
	report, err := s.archive(ctx, w)
	if err == nil {
		err = w.tar.Close()
	}
	if err == nil {
		err = sealed.Close()
	}
	return report, err
}

// archive writes the database first: what the folders hold of later acts is more than the
// database knows, never less.
func (s Source) archive(ctx context.Context, w *writer) (r Report, err error) {
	snapshot, err := s.DB.Snapshot(ctx, s.Data)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	head, err := store.HeadOf(ctx, snapshot)
	if err != nil {
		return r, err
	}
	r.Header = Header{
		Format: Format, Program: s.Program, Made: w.made, Engine: snapshot.Engine, Schema: snapshot.Schema,
		Head: head.String(), Number: head.Seq, Tables: snapshot.Tables,
	}
	if err := w.addJSON(headerName, r.Header); err != nil {
		return r, err
	}
	if err := writeDatabase(ctx, w, snapshot); err != nil {
		return r, err
	}
	if err := w.addFolder(caFolder, s.CA); err != nil {
		return r, err
	}
	if r.Journal, err = w.addFile(journalName, s.Journal); err != nil {
		return r, err
	}
	if s.Settings != "" {
		if _, err := w.addFile(settingsName, s.Settings); err != nil {
			return r, err
		}
	}
	r.Manifest = Manifest{Files: w.files, Rows: make(map[string]int64)}
	for _, t := range snapshot.Tables {
		r.Rows[t.Name] = t.Rows
	}
	return r, w.addJSON(manifestName, r.Manifest)
}

func writeDatabase(ctx context.Context, w *writer, snapshot *sqldb.Snapshot) error {
	if snapshot.File != "" {
		_, err := w.addFile(databaseName, snapshot.File)
		return err
	}
	for i := range snapshot.Tables {
		t := &snapshot.Tables[i]
		p := &parts{w: w, folder: databaseFolder + t.Name + "/"}
		if err := snapshot.CopyTable(ctx, t, p); err != nil {
			return err
		}
		if err := p.flush(); err != nil { // an empty table has one empty part
			return err
		}
	}
	return nil
}

func newReader(text []byte) io.Reader { return bytes.NewReader(text) }
