package app

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// With a root of the portal's own nothing is fetched.
func TestOwnRootHasNoCompanyLists(t *testing.T) {
	p, err := open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	testkit.Equal(t, "links", len(companyLinks(p.CA.Folder)), 0)
	if slices.ContainsFunc(p.doctor.Checks(), func(c admin.Check) bool { return c.Name == "company-lists" }) {
		t.Error("there is a check of the company's lists")
	}
}

// TestCompanyLinks has a CA below the policy CA of a company.
func TestCompanyLinks(t *testing.T) {
	key, dir := testkit.ECKey(t), t.TempDir()
	certificate := func(name string, parent *x509.Certificate) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte(name),
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		if parent == nil {
			parent = template
		}
		raw := testkit.Must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key))(t)
		return testkit.Must(x509.ParseCertificate(raw))(t)
	}
	root := certificate("Root", nil)
	policy := certificate("Policy", root)
	issuing := certificate("Issuing", policy)
	testkit.NoError(t, os.Mkdir(filepath.Join(dir, "ca"), 0o700))
	for name, content := range map[string][]byte{
		"issuing.key": testkit.Must(ca.EncryptKey(key, []byte("correct horse")))(t), "issuing.crt": ca.PEM(issuing), "issuing.chain": ca.PEM(policy, root),
	} {
		testkit.NoError(t, os.WriteFile(filepath.Join(dir, "ca", name), content, 0o600))
	}
	links := companyLinks(testkit.Must(ca.OpenFolder(filepath.Join(dir, "ca")))(t))
	if len(links) != 2 || !links[0].Certificate.Equal(issuing) || !links[0].Issuer.Equal(policy) || !links[1].Certificate.Equal(policy) || !links[1].Issuer.Equal(root) {
		t.Errorf("got %v", links)
	}
	found := companyFindings(t.Context(), &config.Settings{Data: dir})
	if len(found) != 2 || found[0].State != portal.FindingFailed || !strings.Contains(found[0].Text, "names no address") {
		t.Errorf("config check: got %v", found)
	}
}
