package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"certportal/internal/durable"
)

var (
	// ErrNoRootKey means that the root key is not in the folder. It should be kept
	// offline once the issuing CA runs.
	ErrNoRootKey = errors.New("the root key is not in this folder")
	// ErrExposed means that other users than the owner can read a key file. The
	// wrapping error contains the command that repairs it.
	ErrExposed = errors.New("key file is open to other users")
)

const (
	rootCertFile    = "root.crt"
	rootKeyFile     = "root.key"
	issuingCertFile = "issuing.crt"
	issuingKeyFile  = "issuing.key"

	maxCertFile = 64 << 10
)

// Folder is a directory with the CA's certificates in PEM (root.crt,
// issuing.crt) and its keys under a passphrase (root.key, issuing.key).
type Folder struct {
	dir           string
	root, issuing *x509.Certificate
}

// CreateFolder writes a new CA into a directory, which it creates with mode 0700
// if needed, and opens it. Files are written atomically. An existing CA is never
// replaced: the error then wraps [fs.ErrExist].
func CreateFolder(dir string, h *Hierarchy, passphrase []byte) (*Folder, error) {
	rootKey, err := EncryptKey(h.RootKey, passphrase)
	if err != nil {
		return nil, fmt.Errorf("writing CA folder %s: %w", dir, err)
	}
	issuingKey, err := EncryptKey(h.IssuingKey, passphrase)
	if err != nil {
		return nil, fmt.Errorf("writing CA folder %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("writing CA folder %s: %w", dir, err)
	}
	for _, name := range []string{rootCertFile, rootKeyFile, issuingCertFile, issuingKeyFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, fmt.Errorf("writing CA folder %s: %s: %w", dir, name, fs.ErrExist)
		}
	}
	// The issuing certificate is last: OpenFolder needs it, so after a crash in
	// between the files are those of a CA that never signed anything.
	for _, f := range []struct {
		name    string
		content []byte
		mode    fs.FileMode
	}{
		{rootKeyFile, rootKey, 0o600},
		{issuingKeyFile, issuingKey, 0o600},
		{rootCertFile, pemCertificate(h.Root), 0o644},
		{issuingCertFile, pemCertificate(h.Issuing), 0o644},
	} {
		if err := durable.Create(filepath.Join(dir, f.name), f.content, f.mode); err != nil {
			return nil, fmt.Errorf("writing CA folder %s: %w", dir, err)
		}
	}
	return OpenFolder(dir)
}

// OpenFolder reads the certificates of a CA and checks the key files without
// decrypting them. The error wraps [fs.ErrNotExist] when there is no CA in dir,
// and [ErrExposed] when other users may read a key.
func OpenFolder(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	if err := f.checkFiles(); err != nil {
		return nil, fmt.Errorf("opening CA folder: %w", err)
	}
	var err error
	if f.issuing, err = f.readCertificate(issuingCertFile); err != nil {
		return nil, fmt.Errorf("opening CA folder: %w", err)
	}
	if f.root, err = f.readCertificate(rootCertFile); err != nil {
		return nil, fmt.Errorf("opening CA folder: %w", err)
	}
	if err := f.issuing.CheckSignatureFrom(f.root); err != nil {
		return nil, fmt.Errorf("opening CA folder %s: issuing CA is not signed by the root: %w", dir, err)
	}
	if err := f.checkMode(issuingKeyFile); err != nil {
		return nil, fmt.Errorf("opening CA folder: %w", err)
	}
	if err := f.checkMode(rootKeyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening CA folder: %w", err)
	}
	return f, nil
}

// checkFiles checks that the folder is complete. The error wraps fs.ErrNotExist
// only if the folder has no CA at all, because callers then create one.
func (f *Folder) checkFiles() error {
	var missing, present []string
	for _, name := range []string{issuingCertFile, issuingKeyFile, rootCertFile, rootKeyFile} {
		_, err := os.Lstat(filepath.Join(f.dir, name))
		if err == nil {
			present = append(present, name)
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// The root key may be kept offline.
		if name != rootKeyFile {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 && len(present) > 0 {
		return fmt.Errorf("%s holds an incomplete CA: %s there, %s missing; restore it from a backup, "+
			"or move it away if it never issued anything", f.dir, strings.Join(present, ", "), strings.Join(missing, ", "))
	}
	if len(missing) > 0 {
		return fmt.Errorf("no CA in %s: %w", f.dir, fs.ErrNotExist)
	}
	return nil
}

// Root gives the root's certificate. It is shared: do not change it.
func (f *Folder) Root() *x509.Certificate { return f.root }

// Issuing gives the issuing CA's certificate. It is shared: do not change it.
func (f *Folder) Issuing() *x509.Certificate { return f.issuing }

// RootKey decrypts the root's key. It returns [ErrNoRootKey] when the key is not
// in the folder, [ErrPassphrase] when the passphrase is wrong.
func (f *Folder) RootKey(passphrase []byte) (crypto.Signer, error) {
	key, err := f.openKey(rootKeyFile, f.root, passphrase)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoRootKey
	}
	return key, err
}

// HoldsRootKey reports whether the root's key file is in the folder.
func (f *Folder) HoldsRootKey() bool {
	_, err := os.Stat(filepath.Join(f.dir, rootKeyFile))
	return err == nil
}

// IssuingKey decrypts the issuing CA's key. It returns [ErrPassphrase] when the
// passphrase is wrong.
func (f *Folder) IssuingKey(passphrase []byte) (crypto.Signer, error) {
	return f.openKey(issuingKeyFile, f.issuing, passphrase)
}

// ExportRootKey moves the encrypted file of the root's key to the file dest, which
// must not exist, on a medium to be kept offline. It deletes the original after
// the copy was synced and read back. On flash storage the old blocks may remain,
// protected by the passphrase.
func (f *Folder) ExportRootKey(dest string) error {
	source := filepath.Join(f.dir, rootKeyFile)
	content, err := readLimited(source, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoRootKey
	}
	if err != nil {
		return fmt.Errorf("exporting root key: %w", err)
	}
	if err := durable.Create(dest, content, 0o600); err != nil {
		return fmt.Errorf("exporting root key: %w", err)
	}
	copied, err := readLimited(dest, maxKeyFile)
	if err != nil {
		return fmt.Errorf("exporting root key: %w", err)
	}
	if !bytes.Equal(copied, content) {
		return fmt.Errorf("exporting root key: copy %s reads back differently, the original stays", dest)
	}
	if err := os.Remove(source); err != nil {
		return fmt.Errorf("exporting root key: %w", err)
	}
	return wrap("exporting root key", durable.SyncFolder(f.dir))
}

func (f *Folder) openKey(name string, cert *x509.Certificate, passphrase []byte) (crypto.Signer, error) {
	if err := f.checkMode(name); err != nil {
		return nil, fmt.Errorf("opening key: %w", err)
	}
	path := filepath.Join(f.dir, name)
	file, err := readLimited(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("opening key: %w", err)
	}
	key, err := DecryptKey(file, passphrase)
	if err != nil {
		return nil, fmt.Errorf("opening key %s: %w", path, err)
	}
	if _, err := checkIssuer(cert, key.Public()); err != nil {
		return nil, fmt.Errorf("opening key %s: %w", path, err)
	}
	return key, nil
}

// checkMode refuses a key that group or others may read: the passphrase should
// not be the only protection from other users of the machine.
func (f *Folder) checkMode(name string) error {
	path := filepath.Join(f.dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o, run: chmod 600 %s", ErrExposed, path, mode, path)
	}
	return nil
}

func (f *Folder) readCertificate(name string) (*x509.Certificate, error) {
	path := filepath.Join(f.dir, name)
	file, err := readLimited(path, maxCertFile)
	if err != nil {
		return nil, err
	}
	certs, err := ParseAnchors(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("reading %s: %d certificates, want one", path, len(certs))
	}
	return certs[0], nil
}
