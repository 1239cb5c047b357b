package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// partSize is how much of a table is in one file of the archive.
const partSize = 4 << 20

// writer writes the archive and the manifest.
type writer struct {
	tar   *tar.Writer
	made  time.Time
	files []File
}

// add writes a file of a known size.
func (w *writer) add(name string, size int64, content io.Reader) error {
	h := &tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: w.made, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w.tar, sum), content, size); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	w.files = append(w.files, File{name, size, digest(sum)})
	return nil
}

func digest(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }

// addJSON writes a value.
func (w *writer) addJSON(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return w.add(name, int64(len(text)), newReader(text))
}

// addFile writes a regular file as long as it is now; false when there is none.
func (w *writer) addFile(name, from string) (bool, error) {
	f, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is no file", from)
	}
	return true, w.add(name, info.Size(), f)
}

// addFolder writes the files of a folder, without those that are being written.
func (w *writer) addFolder(prefix, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !plainName().MatchString(e.Name()) || e.IsDir() {
			continue
		}
		if _, err := w.addFile(prefix+e.Name(), filepath.Join(folder, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// parts cuts a stream into files of the archive.
type parts struct {
	w      *writer
	folder string // ends with a slash
	n      int
	held   []byte
}

// Write implements io.Writer.
func (p *parts) Write(text []byte) (int, error) {
	whole := len(text)
	for len(text) > 0 {
		n := min(partSize-len(p.held), len(text))
		p.held, text = append(p.held, text[:n]...), text[n:]
		if len(p.held) == partSize {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return whole, nil
}

// flush writes what is held as one file.
func (p *parts) flush() error {
	p.n++
	err := p.w.add(fmt.Sprintf("%s%06d", p.folder, p.n), int64(len(p.held)), newReader(p.held))
	p.held = p.held[:0]
	return err
}
