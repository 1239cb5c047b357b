package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"certportal/ca"
	"certportal/internal/auditmonitor"
	"certportal/store"
	"certportal/store/sqldb"
)

// Verify reads a backup to its end, compares its files with the manifest, opens the copy of
// the database and the folder of the CA, and verifies the audit log. It writes what it
// opens into a folder of its own below work, and removes it. The rows of PostgreSQL are
// counted only: they are checked when they are restored.
func Verify(ctx context.Context, file string, key Key, work string) (r Report, err error) {
	folder, err := os.MkdirTemp(work, stagePrefix+"*")
	if err != nil {
		return r, fmt.Errorf("verifying backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	root, err := os.OpenRoot(folder)
	if err != nil {
		return r, fmt.Errorf("verifying backup: %w", err)
	}
	defer root.Close()
	r, err = unpack(file, key, func(Header) sink {
		return sink{file: into(root), table: func(_ string, rows io.Reader) (int64, error) { return countLines(rows) }}
	})
	if err != nil {
		return r, err
	}
	if r.CA, err = fingerprint(folder); err != nil {
		return r, err
	}
	if r.Engine == sqldb.SQLite {
		err = r.verifyFile(ctx, filepath.Join(folder, "portal.db"))
	}
	return r, err
}

// unpack reads a whole backup.
func unpack(file string, key Key, to func(Header) sink) (r Report, err error) {
	f, err := os.Open(file)
	if err != nil {
		return r, fmt.Errorf("reading backup: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return r, fmt.Errorf("reading backup: %w", err)
	}
	sum := sha256.New()
	a, err := openArchive(io.TeeReader(bufio.NewReaderSize(f, 256<<10), sum), info.Size(), key)
	if err == nil {
		r.Header = a.Header
		err = a.drain(to(a.Header))
	}
	if err != nil {
		return r, fmt.Errorf("reading backup %s: %w", file, err)
	}
	schema, err := store.SchemaVersion()
	r.Manifest, r.Size, r.SHA256, r.Older = a.Manifest, info.Size(), digest(sum), a.Schema < schema
	for _, f := range a.Files {
		r.Journal = r.Journal || f.Name == journalName
	}
	return r, err
}

// into writes the files of a backup into a folder, and nowhere else, also when links are put
// into it meanwhile.
func into(folder *os.Root) func(string, io.Reader) error {
	return func(name string, content io.Reader) error {
		path := filepath.Base(name)
		if of, ok := caFile(name); ok {
			path = filepath.Join("ca", of)
			if err := folder.Mkdir("ca", 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		f, err := folder.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		_, err = io.Copy(f, content)
		if err == nil {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	}
}

// countLines counts rows in the text format of COPY.
func countLines(rows io.Reader) (n int64, err error) {
	buffer := make([]byte, 64<<10)
	for {
		read, err := rows.Read(buffer)
		for _, b := range buffer[:read] {
			if b == '\n' {
				n++
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// fingerprint is that of the first issuing CA below a folder.
func fingerprint(folder string) (string, error) {
	f, err := ca.OpenFolder(filepath.Join(folder, "ca"))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return ca.Fingerprint(f.Issuing()), nil
}

// verifyFile checks the copy of a SQLite database as it is, and then as this program would
// open it.
func (r Report) verifyFile(ctx context.Context, path string) error {
	schema, tables, err := sqldb.CheckFile(ctx, path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if schema != r.Schema {
		return fmt.Errorf("%w: the database has schema %d, the header says %d", ErrDamaged, schema, r.Schema)
	}
	for _, t := range tables {
		if t.Rows != r.Rows[t.Name] {
			return fmt.Errorf("%w: table %s has %d rows, the manifest says %d", ErrDamaged, t.Name, t.Rows, r.Rows[t.Name])
		}
	}
	db, err := store.Open(ctx, store.Config{URL: "sqlite:" + path})
	if err != nil {
		return fmt.Errorf("opening the copy of the database: %w", err)
	}
	defer db.Close()
	return r.verifyRecords(ctx, db)
}

// belongsTogether refuses a CA that the database does not know.
func (r Report) belongsTogether(ctx context.Context, db *store.DB) error {
	known, err := db.RecordedCAs(ctx)
	if err == nil && !slices.Contains(known, r.CA) {
		err = fmt.Errorf("%w: the database and the CA in it are of two portals", ErrDamaged)
	}
	return err
}

// verifyRecords verifies the audit log, and that it and the certificates agree.
func (r Report) verifyRecords(ctx context.Context, db *store.DB) error {
	if err := r.belongsTogether(ctx, db); err != nil {
		return err
	}
	log, err := auditmonitor.Verify(ctx, db, auditmonitor.Options{})
	if err != nil {
		return err
	}
	if log.Broken == nil && log.Head.String() != r.Head {
		return fmt.Errorf("%w: the audit log ends with %s, the header says %s", ErrDamaged, log.Head, r.Head)
	}
	// Also after a break: an operator who restores all the same needs both.
	differ, err := db.Mismatches(ctx, 1)
	if err != nil {
		return err
	}
	switch {
	case log.Broken != nil && len(differ) > 0:
		return fmt.Errorf("%w: %w; certificates differ from it: %w", ErrAuditLog, log.Broken, differ[0])
	case log.Broken != nil:
		return fmt.Errorf("%w: %w", ErrAuditLog, log.Broken)
	case len(differ) > 0:
		return fmt.Errorf("%w: certificates differ from it: %w", ErrAuditLog, differ[0])
	}
	return nil
}
