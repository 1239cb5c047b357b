package backup

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"certportal/internal/durable"
)

// stagePrefix begins the names of folders in which a restore is prepared.
const stagePrefix = ".certportal-restore-"

// lockFile opens and locks a file, which must be no link.
func lockFile(path string) (*os.File, error) {
	f, err := durable.OpenNoLink(path)
	if err != nil {
		return nil, err
	}
	if err := durable.Lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// place is the data folder of a restore, under the lock that a running portal holds.
type place struct {
	data  string
	lock  *os.File
	stage string   // path of the folder in which the restore is prepared
	into  *os.Root // that folder
}

// kept are the files that may be in the place of a restore: what a file system or a start
// makes, the passphrase, and the journal that is replayed.
func kept() []string {
	return []string{"portal.lock", "lost+found", "ca-passphrase", "revocation.journal"}
}

// takePlace makes the data folder or finds it empty, and locks it. Of two restores one
// finds it locked or used.
func takePlace(data string) (*place, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	// Before the lock, so that a wrong --data leaves no file in a folder of others.
	if err := checkEmpty(data); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(data, "portal.lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("%w: a portal or another restore works in %s", ErrUsed, data)
	}
	if err != nil {
		return nil, fmt.Errorf("locking data folder: %w", err)
	}
	p := &place{data: data, lock: lock}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return p, nil
}

func (p *place) prepare() (err error) {
	if err := checkEmpty(p.data); err != nil {
		return err
	}
	left, err := durable.Named(p.data, stagePrefix)
	if err != nil {
		return err
	}
	for _, folder := range left { // of a killed restore: this one has the lock
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	// Files are unpacked relative to this folder, so that no link of the account of the portal
	// below it is followed. What comes after goes by path.
	root, err := os.OpenRoot(p.data)
	if err != nil {
		return err
	}
	defer root.Close()
	name := stagePrefix + rand.Text()
	if err := root.Mkdir(name, 0o700); err != nil {
		return err
	}
	p.stage = filepath.Join(p.data, name)
	p.into, err = root.OpenRoot(name)
	return err
}

func checkEmpty(data string) error {
	entries, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(kept(), e.Name()) && !strings.HasPrefix(e.Name(), stagePrefix) {
			return fmt.Errorf("%w: %s holds %s: name a new folder with --data, or move what is there away", ErrUsed, data, e.Name())
		}
	}
	return nil
}

// leave removes what was prepared and ends the lock.
func (p *place) leave() error {
	return errors.Join(p.into.Close(), os.RemoveAll(p.stage), p.lock.Close())
}

// checkDatabaseFile refuses a SQLite file that is there.
func checkDatabaseFile(path string) error {
	for _, file := range []string{path, path + "-wal", path + "-journal"} {
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("%w: the database %s is there already", ErrUsed, file)
		}
	}
	return nil
}

// checkWhole refuses a SQLite file whose write-ahead journal has a part of it: that would
// stay behind, and with it what was revoked again.
func checkWhole(path string) error {
	info, err := os.Stat(path + "-wal")
	if err == nil && info.Size() > 0 {
		return fmt.Errorf("%s has a part of what was restored: another program holds the database open; restore again", info.Name())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// moveIn gives a prepared file or folder its final name, where nothing may be.
func moveIn(from, to string) error {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%w: %s is there", ErrUsed, to), err)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("moving what was restored into place: %w", err)
	}
	return errors.Join(durable.SyncFolder(filepath.Dir(from)), durable.SyncFolder(filepath.Dir(to)))
}
