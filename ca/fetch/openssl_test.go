package fetch_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca/fetch"
	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// offlineRoot is the root of a company that OpenSSL makes, as a script with "openssl ca"
// does.
type offlineRoot struct {
	t   *testing.T
	dir string
}

const opensslConfig = `[ca]
default_ca = root
[root]
crlnumber = crlnumber
database = index.txt
new_certs_dir = .
certificate = root.pem
private_key = root.key
serial = serial
default_md = sha256
default_days = 3650
default_crl_days = 180
policy = any
unique_subject = no
[any]
commonName = supplied
[sub]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:${ENV::LISTS}
authorityInfoAccess = caIssuers;URI:${ENV::LISTS}
[req]
distinguished_name = name
x509_extensions = self
[name]
[self]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[version2]
authorityKeyIdentifier = keyid
[partition]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical, @scope
[scope]
fullname = URI:${ENV::LISTS}
onlyCA = TRUE
`

func (o *offlineRoot) run(lists string, args ...string) {
	o.t.Helper()
	command := exec.Command("openssl", args...)
	command.Dir, command.Env = o.dir, append(os.Environ(), "LISTS="+lists)
	if out, err := command.CombinedOutput(); err != nil {
		o.t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

func (o *offlineRoot) read(name string) []byte {
	o.t.Helper()
	file := testkit.Must(os.ReadFile(filepath.Join(o.dir, name)))(o.t)
	if block, _ := pem.Decode(file); block != nil {
		return block.Bytes
	}
	return file
}

// newOfflineRoot makes a root with a key of genpkey's options, and a CA below it.
func newOfflineRoot(t *testing.T, lists string, key ...string) *offlineRoot {
	if daemon.Program("openssl") == "" {
		daemon.Need(t, "openssl is not installed")
	}
	o := &offlineRoot{t, t.TempDir()}
	for name, content := range map[string]string{
		"ca.cnf": opensslConfig, "version1.cnf": strings.ReplaceAll(opensslConfig, "crlnumber = crlnumber\n", ""),
		"index.txt": "", "serial": "1000\n", "crlnumber": "00\n",
	} {
		testkit.NoError(t, os.WriteFile(filepath.Join(o.dir, name), []byte(content), 0o600))
	}
	o.run(lists, append([]string{"genpkey", "-out", "root.key"}, key...)...)
	o.run(lists, "req", "-new", "-x509", "-config", "ca.cnf", "-key", "root.key", "-subj", "/CN=Offline Root", "-days", "3650", "-out", "root.pem")
	o.run(lists, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "sub.key")
	o.run(lists, "req", "-new", "-config", "ca.cnf", "-key", "sub.key", "-subj", "/CN=Portal", "-out", "sub.csr")
	o.run(lists, "ca", "-batch", "-config", "ca.cnf", "-extensions", "sub", "-in", "sub.csr", "-out", "sub.pem", "-notext")
	return o
}

// TestOpenSSLLists reads lists of "openssl ca -gencrl" as companies make them.
func TestOpenSSLLists(t *testing.T) {
	rsa := []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}
	curve := func(name string) []string {
		return []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + name}
	}
	for _, test := range []struct {
		name   string
		key    []string
		list   []string // options of -gencrl
		revoke bool
		state  fetch.State
		text   string
	}{
		{"version 1", rsa, []string{"-config", "version1.cnf"}, false, fetch.Good, "without a number"},
		{"version 2", rsa, []string{"-crlexts", "version2"}, false, fetch.Good, "number 0, valid until"},
		{"SHA-512", rsa, []string{"-md", "sha512"}, false, fetch.Good, "valid until"},
		{"SHA-1", rsa, []string{"-md", "sha1"}, false, fetch.Warning, "SHA-1"},
		{"MD5", rsa, []string{"-md", "md5"}, false, fetch.Failed, "MD5"},
		{"RSASSA-PSS", rsa, []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"}, false, fetch.Good, "valid until"},
		{"P-384", curve("P-384"), []string{"-md", "sha384"}, false, fetch.Good, "valid until"},
		{"P-521", curve("P-521"), []string{"-md", "sha512"}, false, fetch.Good, "valid until"},
		{"Ed25519", []string{"-algorithm", "ED25519"}, nil, false, fetch.Good, "valid until"},
		{"Ed448", []string{"-algorithm", "ED448"}, nil, false, fetch.Failed, "an algorithm that this portal does not know"},
		{"one partition", rsa, []string{"-crlexts", "partition"}, false, fetch.Good, "certificates of authorities of one partition"},
		{"revoked", rsa, []string{"-crlexts", "version2"}, true, fetch.Failed, "revoked it on"},
		{"revoked in a partition", rsa, []string{"-crlexts", "partition"}, true, fetch.Failed, "revoked it on"},
		{"expired", rsa, []string{"-crl_lastupdate", "20250101000000Z", "-crl_nextupdate", "20250701000000Z"}, false, fetch.Failed, "the list ended on"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var file []byte
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(file) }))
			defer server.Close()
			lists := server.URL + "/root.crl"
			o := newOfflineRoot(t, lists, test.key...)
			if test.revoke {
				o.run(lists, "ca", "-config", "ca.cnf", "-revoke", "sub.pem", "-crl_reason", "CACompromise")
			}
			o.run(lists, append([]string{"ca", "-config", "ca.cnf", "-gencrl", "-out", "list.pem"}, test.list...)...)
			file = o.read("list.pem")
			root, sub := testkit.Must(x509.ParseCertificate(o.read("root.pem")))(t), testkit.Must(x509.ParseCertificate(o.read("sub.pem")))(t)
			got := new(fetch.Client).Lists(t.Context(), sub, root, time.Now())
			testkit.Equal(t, "state", got.State, test.state)
			testkit.Contains(t, "sentence", got.Text, test.text)
		})
	}
}
