package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"certportal/internal/durable"
)

// RequestConfig describes a request for the certificate of an issuing CA.
type RequestConfig struct {
	Subject pkix.RDNSequence // from [ParseCAName]
	// Template is the name of a certificate template of AD CS, such as SubCA. Optional:
	// an enterprise CA needs it in the request or when it is submitted.
	Template string
}

// NewRequest makes the PKCS#10 request of an issuing CA (RFC 2986). It asks for what an
// issuing CA of the portal needs: basicConstraints with pathLen 0, keyCertSign and
// cRLSign, all critical, and a subject key identifier.
func NewRequest(key crypto.Signer, cfg RequestConfig) (*x509.CertificateRequest, error) {
	raw, err := newRequest(key, cfg)
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	return x509.ParseCertificateRequest(raw)
}

func newRequest(key crypto.Signer, cfg RequestConfig) ([]byte, error) {
	kind, err := KindOf(key.Public())
	if err != nil {
		return nil, err
	}
	if len(cfg.Subject) == 0 {
		return nil, errors.New("subject is missing")
	}
	subject, err := asn1.Marshal(pkix.Name{ExtraNames: encodable(cfg.Subject)}.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	extensions, err := requestedExtensions(key.Public(), cfg.Template)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		RawSubject: subject, SignatureAlgorithm: kind.signing().algorithm, ExtraExtensions: extensions,
	}, key)
}

func requestedExtensions(pub crypto.PublicKey, template string) ([]pkix.Extension, error) {
	id, err := keyIdentifierOf(pub)
	if err != nil {
		return nil, err
	}
	var list []pkix.Extension
	for _, e := range []struct {
		id       asn1.ObjectIdentifier
		critical bool
		value    any
	}{
		{oidBasicConstraints(), true, struct {
			CA      bool
			PathLen int
		}{true, 0}},
		// Bits 5 and 6 of the first octet: keyCertSign and cRLSign.
		{oidKeyUsage(), true, asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}},
		{oidSKI(), false, id},
	} {
		value, err := asn1.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		list = append(list, pkix.Extension{Id: e.id, Critical: e.critical, Value: value})
	}
	if template == "" {
		return list, nil
	}
	if err := checkTemplate(template); err != nil {
		return nil, err
	}
	named, err := templateExtension(template)
	return append(list, named), err
}

// PEMRequest writes a request in PEM.
func PEMRequest(request *x509.CertificateRequest) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: requestType, Bytes: request.Raw})
}

// AddRequest writes a request and the file of its key into a CA folder, beside what is
// there, and gives the name of the authority to come. The key is written last: after a
// crash in between, no request is pending.
func AddRequest(dir string, request *x509.CertificateRequest, key crypto.Signer, passphrase []byte) (string, error) {
	file, err := keyFile(key, passphrase)
	if err != nil {
		return "", fmt.Errorf("adding request: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("adding request: %w", err)
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		return "", fmt.Errorf("adding request: %w", err)
	}
	defer unlock()
	name, err := addRequest(dir, PEMRequest(request), file)
	return name, wrap("adding request", err)
}

func addRequest(dir string, request, key []byte) (string, error) {
	files, err := listFolder(dir)
	if err != nil {
		return "", err
	}
	name := files.freeName()
	// A request without its key is what an interrupted call left.
	if err := durable.Replace(filepath.Join(dir, name+requestEnding), request, 0o644); err != nil {
		return "", err
	}
	return name, durable.Create(filepath.Join(dir, name+keyEnding), key, 0o600)
}

// freeName gives the first name that no key, certificate or chain has, after all that
// have one: the numbers follow the order in which authorities were made.
func (f folderFiles) freeName() string {
	next := 1
	for _, n := range f.authorities() {
		if name := authorityName(n); f[name+keyEnding] || f[name+certEnding] || f[name+chainEnding] {
			next = n + 1
		}
	}
	return authorityName(next)
}

// lockFolder lets one process at a time change a CA folder.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = durable.Lock(f)
	if errors.Is(err, durable.ErrLocked) {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w: try again", dir, err)
	}
	// A file system without locks is no reason to refuse: no file is ever replaced.
	return func() { _ = f.Close() }, nil
}

// RequestKey opens the key of a pending request in a CA folder, and checks that it is the
// request's. It returns [ErrPassphrase] when the passphrase is wrong.
func RequestKey(dir string, r Request, keys Opener) (crypto.Signer, error) {
	path := filepath.Join(dir, r.Name+keyEnding)
	key, err := readKey(path, keys)
	if err != nil {
		return nil, fmt.Errorf("opening key of a request: %w", err)
	}
	if !sameKey(r.Request.PublicKey, key.Public()) {
		return nil, fmt.Errorf("opening key of a request: %s does not belong to the request beside it", path)
	}
	return key, nil
}

// sameKey reports whether two public keys are equal.
func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
