package ca_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
)

// addFiles writes the files of an authority, those that are not nil.
func addFiles(t *testing.T, dir, name string, key crypto.Signer, cert *x509.Certificate, chain ...*x509.Certificate) {
	t.Helper()
	sealed, err := ca.EncryptKey(key, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	ca.FixtureFile(t, dir, name+".key", sealed)
	if cert != nil {
		ca.FixtureFile(t, dir, name+".crt", ca.PEM(cert))
	}
	if len(chain) > 0 {
		ca.FixtureFile(t, dir, name+".chain", ca.PEM(chain...))
	}
}

// addRequest writes a request beside its key.
func addRequest(t *testing.T, dir, name string, key crypto.Signer) {
	t.Helper()
	addFiles(t, dir, name, key, nil)
	raw, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	ca.FixtureFile(t, dir, name+".csr", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: raw}))
}

func TestFolderUnderACompanysRoot(t *testing.T) {
	dir := t.TempDir()
	root := ca.FixtureRoot(t)
	policy := root.Below(t, "Policy CA")
	key := ca.FixtureKey(t, "issuing-ec")
	cert := policy.Certify(t, "Phones CA", key.Public())
	addFiles(t, dir, "issuing", key, cert, policy.Certificate, root.Certificate)
	f, err := ca.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Root().Equal(root.Certificate) || !f.Issuing().Equal(cert) || f.OwnRoot() || f.HoldsRootKey() {
		t.Error("root or issuing CA are others")
	}
	if _, err := f.RootKey(passphrase); !errors.Is(err, ca.ErrNoRootKey) {
		t.Errorf("root key: got %v", err)
	}
	if _, err := f.IssuingKey(passphrase); err != nil {
		t.Error(err)
	}
	list := f.Authorities()
	if len(list) != 1 || list[0].Name != "issuing" || len(list[0].Chain) != 2 || !list[0].Root().Equal(root.Certificate) {
		t.Errorf("authorities: %+v", list)
	}
	if got := list[0].Intermediates(); len(got) != 2 || !got[0].Equal(cert) || !got[1].Equal(policy.Certificate) {
		t.Errorf("intermediates: %v", got)
	}
}

// The second authority of a portal with its own root is below that, the third below the
// company's; a fourth waits for its certificate.
func TestFolderOfSeveralAuthorities(t *testing.T) {
	dir, first := newFolder(t)
	h := ca.FixtureHierarchy(t, "ec")
	own := &ca.FixtureCA{Certificate: h.Root, Key: h.RootKey}
	company := ca.FixtureRoot(t)
	second, third, fourth := ca.FixtureKey(t, "user-ec"), ca.FixtureKey(t, "issuing-rsa"), ca.FixtureKey(t, "root-rsa")
	addFiles(t, dir, "issuing-2", second, own.Certify(t, "Second", second.Public()))
	addFiles(t, dir, "issuing-10", third, company.Certify(t, "Third", third.Public()), company.Certificate)
	addRequest(t, dir, "issuing-11", fourth)
	// None of these is an authority: a key that no certificate was asked for, and other names.
	addFiles(t, dir, "issuing-12", fourth, nil)
	ca.FixtureFile(t, dir, "issuing-02.crt", nil)
	ca.FixtureFile(t, dir, "issuing-x.crt", nil)
	f, err := ca.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range f.Authorities() {
		names = append(names, a.Name)
	}
	if got := strings.Join(names, " "); got != "issuing issuing-2 issuing-10" {
		t.Errorf("authorities: %s", got)
	}
	if !f.OwnRoot() || !f.Root().Equal(first.Root()) || !f.Issuing().Equal(first.Issuing()) {
		t.Error("the first CA is another")
	}
	if a, ok := f.Authority("issuing-10"); !ok || !a.Root().Equal(company.Certificate) {
		t.Error("the third is not below the company's root")
	}
	requests, err := f.Requests()
	if err != nil || len(requests) != 1 || requests[0].Name != "issuing-11" {
		t.Errorf("requests: %v, %v", requests, err)
	}
	if key, err := f.Key("issuing-2", passphrase); err != nil || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(second.Public()) {
		t.Errorf("key of issuing-2: %v", err)
	}
	for _, name := range []string{"issuing-11", "issuing-12", "root", "../ca/issuing"} {
		if _, err := f.Key(name, passphrase); err == nil {
			t.Errorf("key of %s was opened", name)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "issuing-2.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.OpenFolder(dir); !errors.Is(err, ca.ErrExposed) {
		t.Errorf("open key: got %v", err)
	}
}

// A folder with a request only has no CA, and must not get another one in its place.
func TestFolderWithARequestOnly(t *testing.T) {
	dir := t.TempDir()
	ca.FixtureFile(t, dir, "issuing.csr", nil)
	if _, err := ca.OpenFolder(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("request without key: got %v", err)
	}
	addRequest(t, dir, "issuing", ca.FixtureKey(t, "issuing-ec"))
	_, err := ca.OpenFolder(dir)
	if !errors.Is(err, ca.ErrRequested) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "certportal ca import") {
		t.Errorf("got %v", err)
	}
	if list, err := ca.PendingRequests(dir); err != nil || len(list) != 1 {
		t.Errorf("requests: %v, %v", list, err)
	}
	if _, err := ca.CreateFolder(dir, ca.FixtureHierarchy(t, "ec"), passphrase); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another CA was made: %v", err)
	}
	ca.FixtureFile(t, dir, "issuing.chain", nil)
	if _, err := ca.OpenFolder(dir); !errors.Is(err, ca.ErrRequested) {
		t.Errorf("chain before the certificate: got %v", err)
	}
}

func TestOpenFolderRefusesBrokenChains(t *testing.T) {
	root := ca.FixtureRoot(t)
	policy := root.Below(t, "Policy CA")
	key := ca.FixtureKey(t, "issuing-ec")
	cert := policy.Certify(t, "Phones CA", key.Public())
	// Name and key identifier of the policy CA with another key.
	twin := ca.FixtureRoot(t).Below(t, "Policy CA", func(c *x509.Certificate) { c.SubjectKeyId = policy.Certificate.SubjectKeyId })
	for _, test := range []struct {
		name  string
		chain []*x509.Certificate
		want  string
	}{
		{"without", nil, "issuing.chain or root.crt missing"},
		{"without the root", []*x509.Certificate{policy.Certificate}, "the root is missing"},
		{"without the intermediate", []*x509.Certificate{root.Certificate}, "not signed by"},
		{"wrong order", []*x509.Certificate{root.Certificate, policy.Certificate}, "not signed by"},
		{"twin of the intermediate", []*x509.Certificate{twin.Certificate, root.Certificate}, "not signed by"},
		{"one too many", []*x509.Certificate{policy.Certificate, root.Certificate, root.Certificate, twin.Certificate}, "not signed by"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			addFiles(t, dir, "issuing", key, cert, test.chain...)
			_, err := ca.OpenFolder(dir)
			if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("without the key", func(t *testing.T) {
		dir := t.TempDir()
		addFiles(t, dir, "issuing", key, cert, policy.Certificate, root.Certificate)
		if err := os.Remove(filepath.Join(dir, "issuing.key")); err != nil {
			t.Fatal(err)
		}
		if _, err := ca.OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "issuing.key missing") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("second authority", func(t *testing.T) {
		dir, _ := newFolder(t)
		addFiles(t, dir, "issuing-2", key, cert)
		if _, err := ca.OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "issuing-2.crt") {
			t.Errorf("got %v", err)
		}
	})
}
