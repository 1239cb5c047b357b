// Package durable writes files atomically and locks them.
//
// A file is written under a temporary name in the same folder, flushed to disk and then
// given its name, so that a reader, a crash or a power cut meets the old content or the
// new one and never a part of it. The package uses the standard library only.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// prefix begins the names of files that are being written.
const prefix = ".certportal-"

// Create writes a new file and returns once it is on disk. It never replaces a file: the
// error then wraps fs.ErrExist.
func Create(path string, content []byte, mode fs.FileMode) error {
	temp, err := writeTemp(path, mode, writer(content))
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	// A link fails where a rename would overwrite. Some file systems, such as those of
	// USB sticks, have no links: there the file is created exclusively, which is not
	// atomic.
	if err := os.Link(temp, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := createExclusive(path, content, mode); err != nil {
			return err
		}
	}
	return SyncFolder(filepath.Dir(path))
}

// CreateFrom is Create for a content that is too large for memory: write writes it piece by
// piece. After an error of write, too, nothing is there under the name.
func CreateFrom(path string, mode fs.FileMode, write func(io.Writer) error) error {
	temp, err := writeTemp(path, mode, write)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	err = os.Link(temp, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// No links here: of two that create the file at the same moment, both succeed.
		if _, found := os.Lstat(path); found == nil {
			return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
		}
		err = os.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// Replace writes a file in the place of the one that may be there, and returns once it is
// on disk. After an error the old file is still there, unless the error is that of the
// last flush.
func Replace(path string, content []byte, mode fs.FileMode) error {
	temp, err := writeTemp(path, mode, writer(content))
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return SyncFolder(filepath.Dir(path))
}

// writer writes a content that is in memory.
func writer(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// writeTemp writes the content into a temporary file beside path.
func writeTemp(path string, mode fs.FileMode, write func(io.Writer) error) (name string, err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), prefix+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	if err := fill(temp, mode, write); err != nil {
		return "", errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(temp.Name()))
	}
	return temp.Name(), nil
}

func createExclusive(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := fill(f, mode, writer(content)); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// fill writes, flushes and closes a file. It sets the mode before it writes, so that no
// other user can have the file open when a key is written.
func fill(f *os.File, mode fs.FileMode, write func(io.Writer) error) error {
	err := f.Chmod(mode)
	if err == nil {
		err = write(f)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncFolder flushes the names in a folder to disk: fsync of a file does not flush the
// directory entry that points to it. File shares that cannot do this are not an error.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return errors.Join(err, folder.Close())
}

// RemoveTemporary removes files in a folder that a killed process left half written,
// which are those older than age. It reports no error: a file that stays does no harm and
// is found again by the next call.
func RemoveTemporary(folder string, age time.Duration) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), prefix) || time.Since(info.ModTime()) < age {
			continue
		}
		_ = os.Remove(filepath.Join(folder, e.Name()))
	}
}

// Named lists the paths of what is in a folder under names that begin with a prefix. Unlike for
// filepath.Glob, the path of the folder is no pattern.
func Named(folder, prefix string) (paths []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths, err
}

// OpenNoLink opens a file of the portal for reading and writing, and makes it where there is
// none. It refuses a symbolic link: root, who runs a command in a folder of the portal's
// account, would write where that account may not.
func OpenNoLink(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|NoFollow, 0o600)
	if info, look := os.Lstat(path); err != nil && look == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%s is a symbolic link: put the file itself there", path)
	}
	return f, err
}

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("another process holds the lock")
