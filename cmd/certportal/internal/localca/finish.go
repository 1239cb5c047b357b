package localca

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/durable"
	"certportal/store"
)

// lastFile makes a folder that of a CA: see ca.CreateFolder.
const lastFile = IssuingName + ".crt"

// unrecorded is the folder of a new CA until it is recorded and its files are in their place.
func unrecorded(s *config.Settings) string { return s.Path("ca.new") }

// Finish ends what a crash left of Create: the files of a CA that was recorded come to their
// place, those of one that was not, and so never signed anything, are removed.
func Finish(ctx context.Context, s *config.Settings, db *store.DB) error {
	from := unrecorded(s)
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	file, err := os.ReadFile(filepath.Join(from, lastFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("finishing the creation of the CA: %w", err)
	}
	recorded, err := db.RecordedCAs(ctx)
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(file); block == nil || !slices.Contains(recorded, ca.Fingerprint(&x509.Certificate{Raw: block.Bytes})) {
		return os.RemoveAll(from)
	}
	return moveFolder(from, s.Path("ca"))
}

// moveFolder moves the files of a new CA to their place, in one step where that is an
// empty folder or none, else the one that makes it a CA last. It replaces nothing.
func moveFolder(from, to string) error {
	if err := os.Rename(from, to); err == nil {
		return durable.SyncFolder(filepath.Dir(to))
	}
	files, err := os.ReadDir(from)
	if err == nil {
		err = os.MkdirAll(to, 0o700)
	}
	if err != nil {
		return fmt.Errorf("writing CA folder %s: %w", to, err)
	}
	slices.SortStableFunc(files, func(a, b fs.DirEntry) int { return compareLast(a.Name()) - compareLast(b.Name()) })
	for _, f := range files {
		target := filepath.Join(to, f.Name())
		if _, err := os.Lstat(target); err == nil {
			return fmt.Errorf("writing CA folder %s: %s: %w", to, f.Name(), fs.ErrExist)
		}
		if err := errors.Join(os.Rename(filepath.Join(from, f.Name()), target), durable.SyncFolder(to)); err != nil {
			return fmt.Errorf("writing CA folder %s: %w", to, err)
		}
	}
	return errors.Join(os.Remove(from), durable.SyncFolder(filepath.Dir(to)))
}

func compareLast(name string) int {
	if name == lastFile {
		return 1
	}
	return 0
}
