package ca

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"certportal/internal/durable"
)

// ErrNotPending means that a request got its certificate, or was given up, meanwhile.
var ErrNotPending = errors.New("the request is not pending any more")

// AddAuthority writes the certificate and chain of a proposal without errors into a CA
// folder, and gives the name of the new issuing CA. The first of a folder gets the name
// [FirstAuthority]: other requests make way. The certificate is written last: after a
// crash in between the request is pending as before, and nothing else changed.
func AddAuthority(dir string, p Proposal) (string, error) {
	unlock, err := lockFolder(dir)
	if err != nil {
		return "", fmt.Errorf("importing CA: %w", err)
	}
	defer unlock()
	name, err := addAuthority(dir, p)
	if err != nil {
		return "", fmt.Errorf("importing CA: %w", err)
	}
	if name != p.Request.Name {
		err = removeRequest(dir, p.Request.Name)
	}
	return name, wrap("importing CA: removing the second copy of its request", err)
}

func addAuthority(dir string, p Proposal) (string, error) {
	if p.Certificate == nil {
		return "", ErrNotPending
	}
	if err := verifyChain(p.Certificate, p.Chain); err != nil {
		return "", err
	}
	files, err := listFolder(dir)
	if err != nil {
		return "", err
	}
	if !files.pending(p.Request.Name) {
		return "", ErrNotPending
	}
	name := p.Request.Name
	if !files.certified() && name != FirstAuthority {
		name = FirstAuthority
		if err := makeFirst(dir, p.Request.Name, files); err != nil {
			return "", err
		}
	}
	if err := durable.Replace(filepath.Join(dir, name+chainEnding), PEM(p.Chain...), 0o644); err != nil {
		return "", err
	}
	return name, durable.Create(filepath.Join(dir, name+certEnding), pemCertificate(p.Certificate), 0o644)
}

// certified reports whether any authority has its certificate.
func (f folderFiles) certified() bool {
	for _, n := range f.authorities() {
		if f[authorityName(n)+certEnding] {
			return true
		}
	}
	return false
}

// makeFirst copies a request to the name of the first authority, after the request that
// has the name was copied to a free one. A key is there at every moment.
func makeFirst(dir, name string, files folderFiles) error {
	if files.pending(FirstAuthority) {
		if err := copyRequest(dir, FirstAuthority, files.freeName()); err != nil {
			return err
		}
		if err := removeRequest(dir, FirstAuthority); err != nil {
			return err
		}
	}
	return copyRequest(dir, name, FirstAuthority)
}

// copyRequest copies a request, its key last: then it is pending.
func copyRequest(dir, from, to string) error {
	request, err := readLimited(filepath.Join(dir, from+requestEnding), maxCertFile)
	if err != nil {
		return err
	}
	key, err := readLimited(filepath.Join(dir, from+keyEnding), maxKeyFile)
	if err != nil {
		return err
	}
	if err := durable.Replace(filepath.Join(dir, to+requestEnding), request, 0o644); err != nil {
		return err
	}
	return durable.Create(filepath.Join(dir, to+keyEnding), key, 0o600)
}

// removeRequest removes a request that was copied, its key first: then it is not pending.
func removeRequest(dir, name string) error {
	for _, ending := range []string{keyEnding, requestEnding, chainEnding} {
		if err := os.Remove(filepath.Join(dir, name+ending)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncFolder(dir)
}
