package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

const ceremonyPage = "company-root.md"

// TestOpenSSLCeremonyOfTheDocs signs a request with the lines of the docs.
func TestOpenSSLCeremonyOfTheDocs(t *testing.T) {
	company := func(t *testing.T, dir, csr string) company {
		t.Helper()
		tool(t, dir, "openssl", strings.Fields("req -x509 -newkey rsa:3072 -nodes -keyout root.key -out root.pem -days 7300 -sha256 -subj /CN=Root "+
			"-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign")...)
		writeFile(t, dir, "sub.ext", testkit.DocBlocks(t, ceremonyPage, "ini")[0])
		tool(t, dir, "sh", "-c", testkit.DocBlocks(t, ceremonyPage, "openssl")[0])
		return companyOfTheDocs(t, dir, "root.pem")
	}
	newUnderRoot(t, company).wantDocumentedCA(t, true)
}

// companyOfTheDocs has the certificate where the docs put it.
func companyOfTheDocs(t *testing.T, dir, root string) company {
	t.Helper()
	return company{cert: filepath.Join(dir, "phones.pem"), chain: filepath.Join(dir, root)}
}

// wantDocumentedCA looks at what was imported.
func (u *underRoot) wantDocumentedCA(t *testing.T, named bool) {
	t.Helper()
	u.open(t)
	issuing := u.CA.Folder.Issuing()
	if life := issuing.NotAfter.Sub(u.Now()).Hours() / 24; life < 1820 || !issuing.MaxPathLenZero {
		t.Errorf("days %f, path length 0: %t", life, issuing.MaxPathLenZero)
	}
	if got := fmt.Sprint(issuing.CRLDistributionPoints, issuing.IssuingCertificateURL); named != (got == "[http://pki.corp.example/root.crl] [http://pki.corp.example/root.cer]") {
		t.Errorf("addresses %s", got)
	}
	leaf := u.deliver(t, "Phone").leaf
	file := func(name string, content []byte) string { return writeFile(t, u.dir, name, string(content)) }
	root, between := file("a", ca.PEM(u.CA.Folder.Root())), file("b", ca.PEM(issuing))
	tool(t, u.dir, "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root, "-untrusted", between, file("c", ca.PEM(leaf)))
	if out, err := tried(t, u.dir, "openssl", "verify", "-CAfile", root, "c"); err == nil {
		t.Errorf("without the CA between it is accepted: %s", out)
	}
}

// TestStepCACeremonyOfTheDocs has the root of step-ca sign, with the lines of the docs, with
// and without the template that names addresses. Making the program takes minutes.
func TestStepCACeremonyOfTheDocs(t *testing.T) {
	step := stepProgram(t)
	for n, block := range testkit.DocBlocks(t, ceremonyPage, "step") {
		company := func(t *testing.T, dir, _ string) company {
			t.Helper()
			t.Setenv("STEPPATH", filepath.Join(dir, "step"))
			secret := writeFile(t, dir, "secret", "correct horse\n")
			tool(t, dir, step, "ca", "init", "--name", "Corp", "--dns", "localhost", "--address", "127.0.0.1:9443", "--provisioner", "admin",
				"--deployment-type", "standalone", "--password-file", secret)
			for from, to := range map[string]string{"certs/root_ca.crt": "root_ca.crt", "secrets/root_ca_key": "root_ca_key"} {
				testkit.NoError(t, os.Rename(filepath.Join(dir, "step", from), filepath.Join(dir, to)))
			}
			writeFile(t, dir, "sub.tpl", testkit.DocBlocks(t, ceremonyPage, "json")[0])
			script := strings.NewReplacer("step certificate sign", step+" certificate sign --password-file "+secret).Replace(block)
			tool(t, dir, "sh", "-c", script)
			return companyOfTheDocs(t, dir, "root_ca.crt")
		}
		newUnderRoot(t, company).wantDocumentedCA(t, n == 1)
	}
}

// stepProgram builds smallstep's command, once on a machine. Its 300 modules take four
// minutes, so that only long tests make it.
func stepProgram(t *testing.T) string {
	t.Helper()
	const version = "v0.30.2"
	if os.Getenv("CERTPORTAL_LONG") == "" {
		t.Skip("scripts/test long makes the program step and runs this")
	}
	folder, err := daemon.Cached("step-"+version, func(folder string) error {
		cmd := exec.Command("go", "install", "github.com/smallstep/cli/cmd/step@"+version)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("making step: %w\n%s", err, out)
		}
		return nil
	})
	testkit.NoError(t, err)
	return filepath.Join(folder, "step")
}
