package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
)

// tool runs a program that must succeed.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	path := daemon.Program(name)
	if path == "" {
		daemon.Need(t, name+" is not installed")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// opensslCompany is an offline root and a policy CA by OpenSSL. It signs a request and
// gives the files to import.
func opensslCompany(t *testing.T, dir, csr string) (cert, chain string) {
	t.Helper()
	const caExtensions = "basicConstraints=critical,CA:TRUE%s\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
	writeFile(t, dir, "policy.ext", fmt.Sprintf(caExtensions, ",pathlen:1"))
	writeFile(t, dir, "sub.ext", fmt.Sprintf(caExtensions, ",pathlen:0"))
	for _, line := range []string{
		"req -x509 -newkey rsa:3072 -nodes -keyout root.key -out root.pem -days 7300 -sha256 -subj /O=Corp/CN=Corp_Root_CA " +
			"-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign",
		"req -new -newkey rsa:3072 -nodes -keyout policy.key -out policy.csr -subj /O=Corp/CN=Corp_Policy_CA",
		"x509 -req -in policy.csr -CA root.pem -CAkey root.key -CAcreateserial -days 5000 -sha256 -extfile policy.ext -out policy.pem",
		"x509 -req -in " + csr + " -CA policy.pem -CAkey policy.key -CAcreateserial -days 1825 -sha256 -extfile sub.ext -out sub.pem",
		// The chain comes as PKCS#7, root first.
		"crl2pkcs7 -nocrl -certfile root.pem -certfile policy.pem -out chain.p7b",
	} {
		tool(t, dir, "openssl", strings.Fields(line)...)
	}
	return filepath.Join(dir, "sub.pem"), filepath.Join(dir, "chain.p7b")
}

// gnutlsCompany is a root by GnuTLS, with a file in DER.
func gnutlsCompany(t *testing.T, dir, csr string) (cert, chain string) {
	t.Helper()
	writeFile(t, dir, "root.cfg", "organization = Corp\ncn = Corp Root CA\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 7300\n")
	writeFile(t, dir, "sub.cfg", "ca\npath_len = 0\ncert_signing_key\ncrl_signing_key\nexpiration_days = 1825\n")
	for _, line := range []string{
		"--generate-privkey --key-type rsa --bits 3072 --outfile root.key",
		"--generate-self-signed --load-privkey root.key --template root.cfg --outfile root.pem",
		"--generate-certificate --load-request " + csr + " --load-ca-certificate root.pem --load-ca-privkey root.key --template sub.cfg --outder --outfile sub.cer",
	} {
		tool(t, dir, "certtool", strings.Fields(line)...)
	}
	return filepath.Join(dir, "sub.cer"), filepath.Join(dir, "root.pem")
}

// TestUnderACompanysRoot goes the whole way with real CAs: request, signature, import,
// start, a person's certificate, and its chain in the programs of others.
func TestUnderACompanysRoot(t *testing.T) {
	for _, test := range []struct {
		name    string
		company func(*testing.T, string, string) (string, string)
		between int
	}{{"OpenSSL", opensslCompany, 1}, {"GnuTLS", gnutlsCompany, 0}} {
		t.Run(test.name, func(t *testing.T) {
			data, dir := t.TempDir(), t.TempDir()
			csr := filepath.Join(dir, "phones.csr")
			mustRun(t, "--data", data, "ca", "csr", "--out", csr, "--subject", "CN=Corp Phones CA,O=Corp")
			cert, chain := test.company(t, dir, csr)
			out := mustRun(t, "--data", data, "ca", "import", "--cert", cert, "--chain", chain)
			if !strings.Contains(out, "Imported CN=Corp Phones CA,O=Corp as issuing") {
				t.Errorf("import prints %s", out)
			}
			if r := certportal(t, "", "--data", data, "ca", "import", "--cert", cert, "--chain", chain); r.code != exitFailed || !strings.Contains(r.err, "imported already") {
				t.Errorf("second import: exit %d, %s", r.code, r.err)
			}
			shown := shownJSON(t, data)
			if shown.OwnRoot || len(shown.Authorities) != 1 || len(shown.Authorities[0].Chain) != test.between+1 ||
				len(shown.Requests) != 0 || len(shown.Lists) != 1 || shown.Lists[0].Number == 0 {
				t.Errorf("shown: %+v", shown)
			}
			for _, args := range [][]string{{"ca", "crl", "--issuer", "root"}, {"ca", "export-root-key", "--to", filepath.Join(dir, "x")}} {
				if r := certportal(t, "", append([]string{"--data", data}, args...)...); r.code == exitDone || !strings.Contains(r.err, "company's") {
					t.Errorf("%v: exit %d, %s", args, r.code, r.err)
				}
			}
			if out := mustRun(t, "--data", data, "ca", "crl"); strings.Contains(out, "root") || !strings.Contains(out, "of issuing") {
				t.Errorf("ca crl prints %s", out)
			}
			runUnderTheRoot(t, data, dir, test.between)
		})
	}
}

// runUnderTheRoot starts the portal, enrols a person, and has the chain verified.
func runUnderTheRoot(t *testing.T, data, dir string, between int) {
	t.Helper()
	mustRun(t, "--data", data, "user", "add", "anna")
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := p.Builtin.Accounts(t.Context())
	if err != nil || len(accounts) != 1 {
		t.Fatal(accounts, err)
	}
	key, err := ca.ECP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	done, err := p.Registrar.EnrollKey(t.Context(), enroll.Request{
		By: portal.Actor{Person: accounts[0].ID, Role: portal.Employee}, Name: "phone", Platform: portal.Android, Idempotent: "once",
	}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := p.DB.Certificate(t.Context(), done.Serial)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(recorded.DER)
	if err != nil {
		t.Fatal(err)
	}
	chain := p.Registrar.Chain(nil)
	if len(chain) != between+1 {
		t.Errorf("chain of %d, want %d", len(chain), between+1)
	}
	acceptedByAll(t, dir, leaf, chain, p.CA.Folder.Root())
	if _, there, err := p.DB.Latest(t.Context(), "root", false, 0); err != nil || there {
		t.Errorf("a list of the company's root: %t, %v", there, err)
	}
}

// acceptedByAll verifies a person's certificate with OpenSSL, GnuTLS, NSS and Java.
func acceptedByAll(t *testing.T, dir string, leaf *x509.Certificate, chain []*x509.Certificate, root *x509.Certificate) {
	t.Helper()
	rootFile := writeFile(t, dir, "anchor.pem", string(ca.PEM(root)))
	chainFile := writeFile(t, dir, "between.pem", string(ca.PEM(chain...)))
	leafFile := writeFile(t, dir, "leaf.pem", string(ca.PEM(leaf)))
	all := append([]*x509.Certificate{leaf}, append(chain, root)...)
	bundle := writeFile(t, dir, "bundle.pem", string(ca.PEM(all...)))
	tool(t, dir, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient", "-CAfile", rootFile, "-untrusted", chainFile, leafFile)
	tool(t, dir, "certtool", "--verify", "--infile", bundle, "--load-ca-certificate", rootFile)
	nss := t.TempDir()
	tool(t, dir, "certutil", "-N", "--empty-password", "-d", "sql:"+nss)
	tool(t, dir, "certutil", "-A", "-n", "root", "-t", "CT,C,", "-i", rootFile, "-d", "sql:"+nss)
	for n, cert := range chain {
		file := writeFile(t, dir, fmt.Sprintf("between-%d.pem", n), string(ca.PEM(cert)))
		tool(t, dir, "certutil", "-A", "-n", fmt.Sprintf("between-%d", n), "-t", ",,", "-i", file, "-d", "sql:"+nss)
	}
	tool(t, dir, "certutil", "-A", "-n", "leaf", "-t", ",,", "-i", leafFile, "-d", "sql:"+nss)
	tool(t, dir, "certutil", "-V", "-n", "leaf", "-u", "C", "-e", "-d", "sql:"+nss)
	if out := tool(t, dir, "keytool", "-printcert", "-file", bundle); strings.Count(out, "Owner:") != len(all) {
		t.Errorf("keytool reads %s", out)
	}
}

// TestImportRefuses: a sentence each, nothing written, the running CA untouched.
func TestImportRefuses(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	mustRun(t, "--data", data, "ca", "init")
	if r := certportal(t, "", "--data", data, "ca", "import", "--cert", filepath.Join(data, "ca", "issuing.crt")); r.code != exitFailed || !strings.Contains(r.err, "imported already") {
		t.Errorf("the running CA: exit %d, %s", r.code, r.err)
	}
	csr := filepath.Join(dir, "phones.csr")
	mustRun(t, "--data", data, "ca", "csr", "--out", csr, "--subject", "CN=Corp Phones CA,O=Corp")
	cert, chain := gnutlsCompany(t, dir, csr)
	before := folderContents(t, filepath.Join(data, "ca"))
	big := writeFile(t, dir, "big", strings.Repeat("x", 10<<20))
	leafConfig := writeFile(t, dir, "leaf.cfg", "cn = anna\nsigning_key\nexpiration_days = 1825\n")
	tool(t, dir, "certtool", "--generate-certificate", "--load-request", csr, "--load-ca-certificate", "root.pem", "--load-ca-privkey", "root.key",
		"--template", leafConfig, "--outfile", "leaf.pem")
	short := writeFile(t, dir, "short.cfg", "ca\npath_len = 0\ncert_signing_key\ncrl_signing_key\nexpiration_days = 100\n")
	tool(t, dir, "certtool", "--generate-certificate", "--load-request", csr, "--load-ca-certificate", "root.pem", "--load-ca-privkey", "root.key",
		"--template", short, "--outfile", "short.pem")
	for _, test := range []struct{ name, cert, chain, want string }{
		{"no file", filepath.Join(dir, "nowhere"), "", "nowhere"},
		{"10 MB", big, chain, "more than"},
		{"the request", csr, chain, "request"},
		{"the root as certificate", chain, chain, "belongs to no request"},
		{"without the root", cert, "", "is missing"},
		{"a leaf", filepath.Join(dir, "leaf.pem"), chain, "end entity"},
		{"100 days", filepath.Join(dir, "short.pem"), chain, "certificates.days"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"--data", data, "ca", "import", "--accept-warnings", "--cert", test.cert}
			if test.chain != "" {
				args = append(args, "--chain", test.chain)
			}
			if r := certportal(t, "", args...); r.code != exitFailed || !strings.Contains(r.err, test.want) {
				t.Errorf("exit %d, %s", r.code, r.err)
			}
			for name, content := range folderContents(t, filepath.Join(data, "ca")) {
				if !bytes.Equal(content, before[name]) {
					t.Errorf("%s changed", name)
				}
			}
		})
	}
	// Beside a running CA the files are written, and nothing else changes.
	out := mustRun(t, "--data", data, "ca", "import", "--cert", cert, "--chain", chain)
	if !strings.Contains(out, "as issuing-2") || !strings.Contains(out, "not active") {
		t.Errorf("import prints %s", out)
	}
	after := folderContents(t, filepath.Join(data, "ca"))
	for name, content := range before {
		if !bytes.Equal(content, after[name]) {
			t.Errorf("%s changed", name)
		}
	}
	if shown := shownJSON(t, data); !shown.OwnRoot || len(shown.Authorities) != 2 || shown.Authorities[1].Name != "issuing-2" {
		t.Errorf("shown: %+v", shown)
	}
}

func folderContents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
