package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// tool runs a program that must succeed.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := tried(t, dir, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// tried runs a program that may fail.
func tried(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	path := daemon.Program(name)
	if path == "" {
		daemon.Need(t, name+" is not installed")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	testkit.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// company is the CA of a company by a real program, which signed our request.
type company struct {
	cert, chain string   // files for the import
	between     int      // CAs between the root and ours
	lists       []string // revocation lists of root and CAs between, PEM
}

// opensslCompany is an offline root and a policy CA by OpenSSL.
func opensslCompany(t *testing.T, dir, csr string) company {
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
	return company{
		cert: filepath.Join(dir, "sub.pem"), chain: filepath.Join(dir, "chain.p7b"), between: 1,
		lists: []string{opensslList(t, dir, "root"), opensslList(t, dir, "policy")},
	}
}

// opensslList makes the list of a CA whose certificate and key are NAME.pem and NAME.key.
func opensslList(t *testing.T, dir, name string) string {
	t.Helper()
	writeFile(t, dir, name+".index", "")
	writeFile(t, dir, name+".number", "01\n")
	config := writeFile(t, dir, name+".cnf", fmt.Sprintf("[ca]\ndefault_ca=this\n[this]\ndatabase=%[1]s.index\ncrlnumber=%[1]s.number\n"+
		"default_md=sha256\ndefault_crl_days=30\ncrl_extensions=list\n[list]\nauthorityKeyIdentifier=keyid:always\n", name))
	tool(t, dir, "openssl", "ca", "-gencrl", "-config", config, "-cert", name+".pem", "-keyfile", name+".key", "-out", name+".crl")
	return string(testkit.Must(os.ReadFile(filepath.Join(dir, name+".crl")))(t))
}

// gnutlsCompany is a root by GnuTLS, with a file in DER.
func gnutlsCompany(t *testing.T, dir, csr string) company {
	t.Helper()
	writeFile(t, dir, "root.cfg", "organization = Corp\ncn = Corp Root CA\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 7300\n")
	writeFile(t, dir, "sub.cfg", "ca\npath_len = 0\ncert_signing_key\ncrl_signing_key\nexpiration_days = 1825\n")
	writeFile(t, dir, "list.cfg", "crl_next_update = 30\ncrl_number = 1\n")
	for _, line := range []string{
		"--generate-privkey --key-type rsa --bits 3072 --outfile root.key",
		"--generate-self-signed --load-privkey root.key --template root.cfg --outfile root.pem",
		"--generate-certificate --load-request " + csr + " --load-ca-certificate root.pem --load-ca-privkey root.key --template sub.cfg --outder --outfile sub.cer",
		"--generate-crl --load-ca-certificate root.pem --load-ca-privkey root.key --template list.cfg --outfile root.crl",
	} {
		tool(t, dir, "certtool", strings.Fields(line)...)
	}
	return company{
		cert: filepath.Join(dir, "sub.cer"), chain: filepath.Join(dir, "root.pem"),
		lists: []string{string(testkit.Must(os.ReadFile(filepath.Join(dir, "root.crl")))(t))},
	}
}
