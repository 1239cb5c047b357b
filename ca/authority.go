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
	"slices"
	"strconv"
	"strings"
)

// Authority is one issuing CA of a folder. Its certificates are shared: do not change
// them.
type Authority struct {
	Name        string // "issuing" for the first, then "issuing-2" and so on
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // its issuers, from the direct one to the root
}

// Root gives the root that the authority's chain ends in.
func (a Authority) Root() *x509.Certificate { return a.Chain[len(a.Chain)-1] }

// Intermediates gives the certificates between one that the authority issued and the
// root: its own and those of its issuers, without the root.
func (a Authority) Intermediates() []*x509.Certificate {
	return append([]*x509.Certificate{a.Certificate}, a.Chain[:len(a.Chain)-1]...)
}

// Request is a request for the certificate of an authority: its key and request are in
// the folder, the certificate is not.
type Request struct {
	Name    string // of the authority that it becomes
	Request *x509.CertificateRequest
}

// The files of an authority have its name and one of these endings.
const (
	certEnding    = ".crt"
	keyEnding     = ".key"
	chainEnding   = ".chain" // issuers in PEM, where the issuer is not root.crt
	requestEnding = ".csr"
)

// RootName is the name of the own root.
const RootName = "root"

// FirstAuthority is the name of the first issuing CA of an installation.
const FirstAuthority = "issuing"

// authorityName gives the name of the nth authority, from 1.
func authorityName(n int) string {
	if n == 1 {
		return FirstAuthority
	}
	return FirstAuthority + "-" + strconv.Itoa(n)
}

// authorityNumber is the reverse of authorityName; 0 for any other text.
func authorityNumber(name string) int {
	if name == FirstAuthority {
		return 1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(name, FirstAuthority+"-"))
	if err != nil || n < 2 || authorityName(n) != name {
		return 0
	}
	return n
}

// folderFiles are the names in a CA folder.
type folderFiles map[string]bool

// listFolder lists a CA folder; a folder that does not exist is empty.
func listFolder(dir string) (folderFiles, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files := folderFiles{}
	for _, e := range entries {
		files[e.Name()] = true
	}
	return files, nil
}

// authorities gives the numbers of authorities that have any file, in ascending order.
func (f folderFiles) authorities() []int {
	var numbers []int
	for name := range f {
		ending := filepath.Ext(name)
		if !slices.Contains([]string{certEnding, keyEnding, chainEnding, requestEnding}, ending) {
			continue
		}
		if n := authorityNumber(strings.TrimSuffix(name, ending)); n > 0 && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// pending reports whether an authority waits for its certificate.
func (f folderFiles) pending(name string) bool {
	return f[name+keyEnding] && f[name+requestEnding] && !f[name+certEnding]
}

// needed lists the files of the folder's CA, there or not. Without any of them there is
// no CA. A key without a certificate and a request belongs to a CA whose certificate was
// lost, if it is the first; others were never used.
func (f folderFiles) needed() []string {
	var needed []string
	certified := false
	for _, n := range f.authorities() {
		name := authorityName(n)
		switch {
		case f[name+certEnding]:
			certified = true
			needed = append(needed, name+certEnding, name+keyEnding)
			if !f[rootCertFile] && !f[name+chainEnding] {
				needed = append(needed, name+chainEnding+" or "+rootCertFile)
			}
		case n == 1 && f[name+keyEnding] && !f[name+requestEnding]:
			needed = append(needed, name+certEnding, name+keyEnding)
		}
	}
	if f[rootCertFile] || f[rootKeyFile] {
		needed = append(needed, rootCertFile)
		if !certified {
			needed = append(needed, issuingCertFile, issuingKeyFile)
		}
	}
	slices.Sort(needed)
	return slices.Compact(needed)
}

// requests reads the pending requests.
func (f folderFiles) requests(dir string) ([]Request, error) {
	var list []Request
	for _, n := range f.authorities() {
		name := authorityName(n)
		if !f.pending(name) {
			continue
		}
		request, err := readRequest(filepath.Join(dir, name+requestEnding))
		if err != nil {
			return nil, err
		}
		list = append(list, Request{Name: name, Request: request})
	}
	return list, nil
}

// PendingRequests reads the requests in a CA folder that wait for their certificates,
// also where there is no CA yet.
func PendingRequests(dir string) ([]Request, error) {
	files, err := listFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("reading requests: %w", err)
	}
	list, err := files.requests(dir)
	return list, wrap("reading requests", err)
}

// Authorities gives the issuing CAs in the order of their numbers, at least one.
func (f *Folder) Authorities() []Authority { return slices.Clone(f.authorities) }

// Authority gives the issuing CA of a name.
func (f *Folder) Authority(name string) (Authority, bool) {
	for _, a := range f.authorities {
		if a.Name == name {
			return a, true
		}
	}
	return Authority{}, false
}

// Requests reads the requests that wait for their certificates. Those of an authority of
// the folder are left out.
func (f *Folder) Requests() ([]Request, error) {
	list, err := PendingRequests(f.dir)
	return slices.DeleteFunc(list, func(r Request) bool {
		return slices.ContainsFunc(f.authorities, func(a Authority) bool {
			return bytes.Equal(a.Certificate.RawSubjectPublicKeyInfo, r.Request.RawSubjectPublicKeyInfo)
		})
	}), err
}

// Key opens the key of an issuing CA. It returns [ErrPassphrase] when the passphrase is
// wrong.
func (f *Folder) Key(name string, keys Opener) (crypto.Signer, error) {
	a, ok := f.Authority(name)
	if !ok {
		return nil, fmt.Errorf("opening key: there is no issuing CA %q in %s", name, f.dir)
	}
	return f.openKey(name+keyEnding, a.Certificate, keys)
}

// readAuthority reads certificate and chain of an authority, and verifies the chain.
func (f *Folder) readAuthority(name string, files folderFiles) (Authority, error) {
	cert, err := readCertificate(filepath.Join(f.dir, name+certEnding))
	if err != nil {
		return Authority{}, err
	}
	a := Authority{Name: name, Certificate: cert, Chain: []*x509.Certificate{f.root}}
	if files[name+chainEnding] {
		if a.Chain, err = readCertificates(filepath.Join(f.dir, name+chainEnding)); err != nil {
			return Authority{}, err
		}
	}
	acceptConstraints(append([]*x509.Certificate{cert}, a.Chain...)...)
	if err := verifyChain(cert, a.Chain); err != nil {
		return Authority{}, fmt.Errorf("%s in %s: %w", name+certEnding, f.dir, err)
	}
	return a, f.checkMode(name + keyEnding)
}

// verifyChain checks that each certificate is signed by the next, and the last by itself.
func verifyChain(cert *x509.Certificate, chain []*x509.Certificate) error {
	for i, parent := range chain {
		if !bytes.Equal(cert.RawIssuer, parent.RawSubject) {
			return fmt.Errorf("certificate %q is not signed by the root or the next of its chain, %q", cert.Subject, parent.Subject)
		}
		if err := cert.CheckSignatureFrom(parent); err != nil {
			return fmt.Errorf("certificate %d of the chain, %q, is not signed by the root or the next, %q: %w", i, cert.Subject, parent.Subject, err)
		}
		cert = parent
	}
	// Old roots signed themselves with algorithms that are refused elsewhere.
	if !selfIssued(cert) || !signedBy(cert, cert) {
		return fmt.Errorf("the chain ends at %q, which is not signed by itself: the root is missing", cert.Subject)
	}
	return nil
}

// acceptConstraints marks name constraints as understood in certificates of a chain.
// crypto/x509 does not read UPNs and distinguished names in them; [CheckAuthority] did.
func acceptConstraints(certs ...*x509.Certificate) {
	for _, cert := range certs {
		cert.UnhandledCriticalExtensions = slices.DeleteFunc(cert.UnhandledCriticalExtensions, oidNameConstraints().Equal)
	}
}

// Signers gives the certificates of all CAs of the folder by the names of their lists: the
// own root, if there is one, and the authorities.
func (f *Folder) Signers() map[string]*x509.Certificate {
	signers := make(map[string]*x509.Certificate)
	if f.OwnRoot() {
		signers[RootName] = f.Root()
	}
	for _, a := range f.authorities {
		signers[a.Name] = a.Certificate
	}
	return signers
}

// Issued reports whether an authority of the folder signed a certificate.
func (f *Folder) Issued(cert *x509.Certificate) bool {
	return slices.ContainsFunc(f.authorities, func(a Authority) bool { return cert.CheckSignatureFrom(a.Certificate) == nil })
}
