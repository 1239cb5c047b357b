package ca

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// createFile writes a new file so that it is there whole or not at all, even
// after a power cut, and never replaces one: the error then wraps fs.ErrExist.
func createFile(path string, content []byte, mode fs.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := fill(temp, content, mode); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	// A link fails where a rename would overwrite. Filesystems without links, on
	// USB sticks above all, get an exclusive file, which is not atomic but is
	// read back by whoever asked for it.
	if err := os.Link(temp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := createExclusive(path, content, mode); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

func createExclusive(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := fill(f, content, mode); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// fill writes, flushes and closes a file. The mode is set before the content,
// so that nobody else can have the file open when the key arrives.
func fill(f *os.File, content []byte, mode fs.FileMode) error {
	err := f.Chmod(mode)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes names in a directory durable: fsync of a file does not flush
// the entry that points to it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readLimited reads a whole file of at most limit octets.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("reading %s: more than %d octets", path, limit)
	}
	return content, nil
}
