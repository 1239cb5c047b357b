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
	// ErrRequested means that there is no CA, but a request for its certificate.
	ErrRequested = errors.New("the CA waits for its certificate")
)

const (
	rootCertFile    = "root.crt"
	rootKeyFile     = "root.key"
	issuingCertFile = FirstAuthority + certEnding
	issuingKeyFile  = FirstAuthority + keyEnding

	maxCertFile = 64 << 10
	requestType = "CERTIFICATE REQUEST"
)

// Folder is a directory with the CA's certificates in PEM and its keys under a
// passphrase: root.crt and root.key of a root of its own, and for each issuing CA
// NAME.crt, NAME.key and, under another root, NAME.chain. The file of a key in an HSM
// refers to it.
type Folder struct {
	dir         string
	root        *x509.Certificate // nil without a root of its own
	authorities []Authority       // at least one
}

// CreateFolder writes a new CA into a directory, which it creates with mode 0700
// if needed, and opens it. Files are written atomically. An existing CA is never
// replaced: the error then wraps [fs.ErrExist].
func CreateFolder(dir string, h *Hierarchy, passphrase []byte) (*Folder, error) {
	rootKey, err := keyFile(h.RootKey, passphrase)
	if err != nil {
		return nil, fmt.Errorf("writing CA folder %s: %w", dir, err)
	}
	issuingKey, err := keyFile(h.IssuingKey, passphrase)
	if err != nil {
		return nil, fmt.Errorf("writing CA folder %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("writing CA folder %s: %w", dir, err)
	}
	files, err := listFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("writing CA folder %s: %w", dir, err)
	}
	for _, name := range []string{rootCertFile, rootKeyFile, issuingCertFile, issuingKeyFile} {
		if files[name] {
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

// OpenFolder reads the certificates of a CA, verifies their chains, and checks the key
// files without decrypting them. The error wraps [fs.ErrNotExist] when there is no CA in
// dir, [ErrRequested] when there is only a request for its certificate, and [ErrExposed]
// when other users may read a key.
func OpenFolder(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("opening CA folder: %w", err)
	}
	return f, nil
}

func (f *Folder) open() error {
	files, err := listFolder(f.dir)
	if err != nil {
		return err
	}
	if err := f.checkFiles(files); err != nil {
		return err
	}
	if files[rootCertFile] {
		if f.root, err = readCertificate(filepath.Join(f.dir, rootCertFile)); err != nil {
			return err
		}
	}
	for _, n := range files.authorities() {
		if name := authorityName(n); files[name+certEnding] {
			a, err := f.readAuthority(name, files)
			if err != nil {
				return err
			}
			f.authorities = append(f.authorities, a)
		}
	}
	if files[rootKeyFile] {
		return f.checkMode(rootKeyFile)
	}
	return nil
}

// checkFiles checks that the folder is complete. The error wraps fs.ErrNotExist
// only if the folder has no CA at all, because callers then create one.
func (f *Folder) checkFiles(files folderFiles) error {
	needed := files.needed()
	if len(needed) == 0 {
		for _, n := range files.authorities() {
			if name := authorityName(n); files.pending(name) {
				return fmt.Errorf("%w: import what the company's CA made of %s with certportal ca import, "+
					"or move %[2]s and %s away to give the request up",
					ErrRequested, filepath.Join(f.dir, name+requestEnding), filepath.Join(f.dir, name+keyEnding))
			}
		}
		return fmt.Errorf("no CA in %s: %w", f.dir, fs.ErrNotExist)
	}
	var missing, present []string
	for _, name := range needed {
		if files[name] {
			present = append(present, name)
		} else {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if files[rootKeyFile] {
		present = append(present, rootKeyFile)
	}
	return fmt.Errorf("%s holds an incomplete CA: %s there, %s missing; restore it from a backup, "+
		"or move it away if it never issued anything", f.dir, strings.Join(present, ", "), strings.Join(missing, ", "))
}

// Root gives the root's certificate: its own, or else that of the first issuing CA's
// chain. It is shared: do not change it.
func (f *Folder) Root() *x509.Certificate {
	if f.root != nil {
		return f.root
	}
	return f.authorities[0].Root()
}

// OwnRoot reports whether the root is the portal's own, whose revocation list it signs.
func (f *Folder) OwnRoot() bool { return f.root != nil }

// Issuing gives the first issuing CA's certificate. It is shared: do not change it.
func (f *Folder) Issuing() *x509.Certificate { return f.authorities[0].Certificate }

// RootKey opens the root's key. It returns [ErrNoRootKey] when its file is not in the
// folder, [ErrPassphrase] when the passphrase is wrong.
func (f *Folder) RootKey(keys Opener) (crypto.Signer, error) {
	if f.root == nil {
		return nil, ErrNoRootKey
	}
	key, err := f.openKey(rootKeyFile, f.root, keys)
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

// IssuingKey opens the first issuing CA's key. It returns [ErrPassphrase] when the
// passphrase is wrong.
func (f *Folder) IssuingKey(keys Opener) (crypto.Signer, error) {
	return f.Key(f.authorities[0].Name, keys)
}

// KeyFile reads the key file of the own root or of an issuing CA, which other users must
// not be able to read.
func (f *Folder) KeyFile(name string) ([]byte, error) {
	return readKeyFile(filepath.Join(f.dir, name+keyEnding))
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

func (f *Folder) openKey(name string, cert *x509.Certificate, keys Opener) (crypto.Signer, error) {
	path := filepath.Join(f.dir, name)
	key, err := readKey(path, keys)
	if err != nil {
		return nil, fmt.Errorf("opening key: %w", err)
	}
	if _, err := checkIssuer(cert, key.Public()); err != nil {
		return nil, fmt.Errorf("opening key %s: %w", path, err)
	}
	return key, nil
}

func (f *Folder) checkMode(name string) error { return checkKeyMode(filepath.Join(f.dir, name)) }
