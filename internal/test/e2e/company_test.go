package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnderACompanysRoot is the way of an administrator: ca csr, a signature by an OpenSSL
// root, ca import. Then the demo's employee gets a certificate that verifies to the
// company's root, with the files that the portal serves.
func TestUnderACompanysRoot(t *testing.T) {
	need(t, "chromium", "openssl")
	dir := t.TempDir()
	d := &demo{t: t, dir: filepath.Join(dir, "data")}
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir}
	in := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	in(binary, "ca", "csr", "--data", d.dir, "--out", "phones.csr")
	in("openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days", "7300", "-sha256",
		"-subj", "/O=Corp/CN=Corp Root CA", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
	write(t, filepath.Join(dir, "sub.ext"), "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"+
		"subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
	in("openssl", "x509", "-req", "-in", "phones.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "1825", "-sha256",
		"-extfile", "sub.ext", "-out", "phones.pem")
	in(binary, "ca", "import", "--data", d.dir, "--cert", "phones.pem", "--chain", "root.pem")
	d.start()
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })

	served := filepath.Join(dir, "served.pem")
	write(t, served, fetch(t, d.http+"/ca/root.pem"))
	for _, file := range []string{"root.pem", "served.pem"} {
		write(t, filepath.Join(dir, file+".der"), in("openssl", "x509", "-in", file, "-outform", "DER"))
	}
	in("cmp", "root.pem.der", "served.pem.der")
	b := openTab(t, look{agent: androidUA})
	file, _, password := b.enrol(d)
	checkFile(t, d, file, password)
	if shown := in(binary, "ca", "show", "--data", d.dir, "--json"); !strings.Contains(shown, "Corp Root CA") {
		t.Errorf("ca show: %s", shown)
	}
}
