package localca

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/durable"
	"certportal/store"
)

const (
	// maxCopied bounds one file of a CA, and with maxFiles what a foreign file may fill.
	maxCopied = 1 << 20
	maxFiles  = 1000

	// maxWorkFactor bounds the memory that a file makes scrypt take: 1 GiB.
	maxWorkFactor = 20
)

// fileName matches the files of a CA, without those that are being written.
func fileName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`) }

// Passphrase gives the passphrase of the CA's keys on a machine that has no CA yet.
func Passphrase(s *config.Settings, term *config.Terminal) ([]byte, error) {
	secret, err := passphrase(s, term)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("bring the passphrase of the CA's keys to this machine first: to ca.passphrase_file, to %s, or name its file with --passphrase-file: %w",
			s.DefaultPassphraseFile(), err)
	}
	return secret, err
}

// WriteCopy writes the files of the CA into one new file, encrypted by age under the
// passphrase of its keys. It returns how many there are.
func (a *CA) WriteCopy(path string) (files int, err error) {
	if a.Sealed != nil {
		return 0, fmt.Errorf("the CA is sealed: %w", a.Sealed)
	}
	recipient, err := age.NewScryptRecipient(string(a.Passphrase))
	if err != nil {
		return 0, err
	}
	err = durable.CreateFrom(path, 0o600, func(w io.Writer) error {
		sealed, err := age.Encrypt(w, recipient)
		if err != nil {
			return err
		}
		archive := tar.NewWriter(sealed)
		if files, err = addFiles(archive, a.dir); err != nil {
			return err
		}
		return errors.Join(archive.Close(), sealed.Close())
	})
	return files, err
}

func addFiles(archive *tar.Writer, folder string) (files int, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !fileName().MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".csr") {
			continue // a request belongs to the machine that waits for its certificate
		}
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: e.Name(), Size: int64(len(content)), Mode: 0o600, Typeflag: tar.TypeReg})
		}
		if err == nil {
			_, err = archive.Write(content)
		}
		if err != nil {
			return 0, fmt.Errorf("copying %s: %w", e.Name(), err)
		}
		files++
	}
	return files, nil
}

// ReadCopy brings the files of a copy into the CA folder, and returns the names of those that
// were not there: note records them before they get their place. It refuses a CA that is not
// the recorded one, and replaces no file.
func ReadCopy(ctx context.Context, s *config.Settings, db *store.DB, path string, passphrase []byte, note func([]string) error) (added []string, err error) {
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	if err := removeStages(s.Data); err != nil {
		return nil, err
	}
	stage, release, err := newStage(s.Data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage), release()) }()
	if err := unpackCopy(path, passphrase, stage); err != nil {
		return nil, err
	}
	folder, err := ca.OpenFolder(stage)
	if err != nil {
		return nil, fmt.Errorf("%s holds no whole CA: %w", path, err)
	}
	copied := &CA{Folder: folder, dir: path}
	if err := copied.BelongsTo(ctx, db); err != nil {
		return nil, err
	}
	return place(folder, stage, s.Path("ca"), note)
}

// unpackCopy decrypts a copy into a folder.
func unpackCopy(path string, passphrase []byte, into string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return err
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	plain, err := age.Decrypt(f, identity)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) || errors.Is(err, age.ErrIncorrectIdentity) {
		return fmt.Errorf("%s does not open with the passphrase of the CA's keys: it must be that of the machine that made the copy", path)
	}
	if err != nil {
		return fmt.Errorf("%s is no copy of a CA, or is damaged: %w", path, err)
	}
	archive := tar.NewReader(plain)
	for range maxFiles {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, plain) // to the end, which age authenticates
		} else if err == nil {
			err = unpackFile(archive, h, into)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("%s is no copy of a CA, or is damaged: %w", path, err)
		}
		return nil
	}
	return fmt.Errorf("%s is no copy of a CA: it has too many files", path)
}

func unpackFile(archive io.Reader, h *tar.Header, into string) error {
	if h.Typeflag != tar.TypeReg || h.Size > maxCopied || !fileName().MatchString(h.Name) {
		return fmt.Errorf("%q in it is no file of a CA", h.Name)
	}
	content, err := io.ReadAll(archive)
	if err != nil {
		return err
	}
	return durable.Create(filepath.Join(into, h.Name), content, 0o600)
}

// place gives the files their place: all at once where there is no CA, else those that are
// missing beside the same CA.
func place(copied *ca.Folder, stage, to string, note func([]string) error) (added []string, err error) {
	files, err := os.ReadDir(stage)
	if err != nil {
		return nil, err
	}
	there, err := ca.OpenFolder(to)
	if NotCreated(err) {
		for _, f := range files {
			added = append(added, f.Name())
		}
		if err := note(added); err != nil {
			return nil, err
		}
		return added, moveFolder(stage, to)
	}
	if err != nil {
		return nil, err
	}
	if !there.Issuing().Equal(copied.Issuing()) {
		return nil, fmt.Errorf("there is another CA in %s: nothing was replaced", to)
	}
	if added, err = missing(files, stage, to); err != nil || len(added) == 0 {
		return nil, err
	}
	if err := note(added); err != nil {
		return nil, err
	}
	// The certificate announces the files of an issuing CA to a portal that runs.
	slices.SortStableFunc(added, func(a, b string) int { return lastIfCertificate(a) - lastIfCertificate(b) })
	for _, name := range added {
		content, err := os.ReadFile(filepath.Join(stage, name))
		if err == nil {
			err = durable.Create(filepath.Join(to, name), content, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	return added, nil
}

// missing lists the files of a copy that are not there, and refuses those that differ.
func missing(files []fs.DirEntry, stage, to string) (added []string, err error) {
	for _, f := range files {
		same, err := sameFile(filepath.Join(stage, f.Name()), filepath.Join(to, f.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			added = append(added, f.Name())
		case err != nil:
			return nil, err
		case !same:
			return nil, fmt.Errorf("%s in %s is not that of the copy: nothing was replaced; "+
				"to take all from the copy, stop the portal, move that folder away, and begin again", f.Name(), to)
		}
	}
	return added, nil
}

func lastIfCertificate(name string) int {
	if strings.HasSuffix(name, ".crt") {
		return 1
	}
	return 0
}

func sameFile(a, b string) (bool, error) {
	one, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	other, err := os.ReadFile(b)
	return bytes.Equal(one, other), err
}
