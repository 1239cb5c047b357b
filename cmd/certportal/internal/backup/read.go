package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"certportal/store"
)

const (
	// maxJSON bounds header and manifest, which are read into memory.
	maxJSON = 32 << 20

	// maxFiles bounds the list of files, which is kept in memory: a table of 4 TB has as many
	// parts.
	maxFiles = 1_000_000
)

// archive reads a backup from its beginning to its end, once. What it gives out is proved
// only after finish.
type archive struct {
	Header
	Manifest // after the end

	plain io.Reader
	tar   *tar.Reader
	name  string // of the file that is read; empty at the end
	read  []File
	sum   hash.Hash
	size  int64
	left  int64 // bytes that files may still have: encryption shortens nothing
}

// openArchive decrypts a backup of a size, reads its header and goes to the first file after
// it.
func openArchive(r io.Reader, size int64, key Key) (*archive, error) {
	plain, err := unseal(r, key)
	if err != nil {
		return nil, err
	}
	a := &archive{plain: plain, tar: tar.NewReader(plain), left: size}
	if err := a.next(); err != nil {
		return nil, foreign(err)
	}
	if a.name != headerName {
		return nil, fmt.Errorf("%w: it begins with %q", ErrForeign, a.name)
	}
	if err := a.decode(&a.Header); err != nil {
		return nil, foreign(err)
	}
	schema, err := store.SchemaVersion()
	if err != nil {
		return nil, err
	}
	if err := a.Header.check(schema); err != nil {
		return nil, err
	}
	return a, a.next()
}

// foreign is the meaning of an error in the header of what decrypts well.
func foreign(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: it has no header: %w", ErrForeign, err)
}

// next ends the file that is read, and goes to the one after it.
func (a *archive) next() error {
	if a.name != "" {
		if _, err := io.Copy(io.Discard, a); err != nil {
			return err
		}
		a.read = append(a.read, File{a.name, a.size, digest(a.sum)})
		a.name = ""
	}
	h, err := a.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it has no manifest", ErrDamaged)
	case err != nil:
		return asDamage(err)
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("%w: %q in it is no file", ErrForeign, h.Name)
	}
	// A file with holes (sparse) would fill any disk, before the manifest at the end is read.
	if h.Size > a.left || len(a.read) >= maxFiles {
		return fmt.Errorf("%w: it is cut off, or claims to hold more than its file can", ErrDamaged)
	}
	a.name, a.size, a.sum, a.left = h.Name, 0, sha256.New(), a.left-h.Size
	if a.name == manifestName {
		return a.finish()
	}
	return nil
}

// asDamage wraps an error of the archive.
func asDamage(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// Read reads the file at hand.
func (a *archive) Read(p []byte) (int, error) {
	n, err := a.tar.Read(p)
	a.sum.Write(p[:n])
	a.size += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = asDamage(err)
	}
	return n, err
}

func (a *archive) decode(value any) error {
	text, err := io.ReadAll(io.LimitReader(a, maxJSON))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("reading %s: %w", a.name, err)
	}
	return nil
}

// finish compares all files with the manifest, and reads the end of the encryption, which
// shows that nothing was cut off.
func (a *archive) finish() error {
	if err := a.decode(&a.Manifest); err != nil {
		return asDamage(err)
	}
	a.name = ""
	if _, err := a.tar.Next(); !errors.Is(err, io.EOF) {
		return asDamage(errors.Join(errors.New("there is more behind the manifest"), err))
	}
	if _, err := io.Copy(io.Discard, a.plain); err != nil {
		return asDamage(err)
	}
	for i, f := range a.read {
		if i >= len(a.Files) || a.Files[i] != f {
			return fmt.Errorf("%w: %s is not what the manifest says", ErrDamaged, f.Name)
		}
	}
	if len(a.Files) != len(a.read) {
		return fmt.Errorf("%w: files are missing", ErrDamaged)
	}
	return nil
}

// table is the stream of a table's parts, from the file at hand on.
type table struct {
	a    *archive
	name string
}

// Read implements io.Reader.
func (t *table) Read(p []byte) (int, error) {
	for {
		if of, ok := tableOf(t.a.name); !ok || of != t.name {
			return 0, io.EOF
		}
		n, err := t.a.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		if err := t.a.next(); err != nil {
			return 0, err
		}
	}
}

// sink takes the files of a backup.
type sink struct {
	file  func(name string, content io.Reader) error
	table func(name string, rows io.Reader) (int64, error)
}

// drain gives all files to a sink. After it the manifest was compared with them.
func (a *archive) drain(to sink) error {
	rows := make(map[string]int64)
	for a.name != "" {
		name := a.name
		if of, ok := tableOf(name); ok {
			n, err := to.table(of, &table{a, of})
			if err != nil {
				return err
			}
			rows[of] = n
			if still, ok := tableOf(a.name); ok && still == of {
				return fmt.Errorf("%w: table %s was not read to its end", ErrDamaged, of)
			}
			continue
		}
		_, ofCA := caFile(name)
		if !ofCA && !slices.Contains([]string{databaseName, journalName, settingsName}, name) {
			return fmt.Errorf("%w: %q in it is unknown", ErrForeign, name)
		}
		if err := to.file(name, a); err != nil {
			return err
		}
		if err := a.next(); err != nil {
			return err
		}
	}
	for of, n := range rows {
		if a.Rows[of] != n {
			return fmt.Errorf("%w: table %s has %d rows, the manifest says %d", ErrDamaged, of, n, a.Rows[of])
		}
	}
	return a.complete(rows)
}

// complete checks that there is a database and a CA.
func (a *archive) complete(rows map[string]int64) error {
	has := func(prefix string) bool {
		return slices.ContainsFunc(a.Files, func(f File) bool { return strings.HasPrefix(f.Name, prefix) })
	}
	for _, t := range a.Tables {
		if _, ok := rows[t.Name]; !ok && !has(databaseName) {
			return fmt.Errorf("%w: table %s is missing", ErrDamaged, t.Name)
		}
	}
	if !has(databaseFolder) || !has(caFolder) {
		return fmt.Errorf("%w: it holds no database or no CA", ErrDamaged)
	}
	return nil
}
