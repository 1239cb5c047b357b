package ca_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
)

func newRequest(t *testing.T, key, template string) (dir, name string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "ca")
	return dir, addNewRequest(t, dir, key, template)
}

func addNewRequest(t *testing.T, dir, key, template string) string {
	t.Helper()
	subject, err := ca.ParseCAName(`CN=Corp Phones CA,O=Corp\, Inc.,DC=corp,DC=example,C=DE`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ca.NewRequest(ca.FixtureKey(t, key), ca.RequestConfig{Subject: subject, Template: template})
	if err != nil {
		t.Fatal(err)
	}
	name, err := ca.AddRequest(dir, r, ca.FixtureKey(t, key), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// OpenSSL and GnuTLS read the request as it was meant.
func TestRequestForOtherPrograms(t *testing.T) {
	openssl, certtool := ca.FixtureProgram(t, "openssl"), ca.FixtureProgram(t, "certtool")
	for _, key := range []string{"issuing-rsa", "issuing-ec"} {
		dir, name := newRequest(t, key, "SubCA")
		file := filepath.Join(dir, name+".csr")
		out, err := ca.FixtureRun(t, openssl, "req", "-in", file, "-noout", "-text", "-verify", "-nameopt", "RFC2253,utf8")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, want := range []string{
			`Subject: CN=Corp Phones CA,O=Corp\, Inc.,DC=corp,DC=example,C=DE`, "CA:TRUE, pathlen:0",
			"Basic Constraints: critical", "Key Usage: critical", "Certificate Sign, CRL Sign", "Subject Key Identifier",
			"S.u.b.C.A", "verify OK",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: OpenSSL does not print %q:\n%s", key, want, out)
			}
		}
		out, err = ca.FixtureRun(t, certtool, "--crq-info", "--infile", file)
		if err != nil || !strings.Contains(out, "Path Length Constraint: 0") || !strings.Contains(out, "Certificate signing") {
			t.Errorf("GnuTLS: %v: %s", err, out)
		}
	}
}

// Requests stand beside the CA and each other, and change nothing that is there.
func TestSeveralRequests(t *testing.T) {
	dir, _ := newFolder(t)
	before := contents(t, dir)
	for i, key := range []string{"user-ec", "issuing-rsa"} {
		if got, want := addNewRequest(t, dir, key, ""), []string{"issuing-2", "issuing-3"}[i]; got != want {
			t.Errorf("got name %s, want %s", got, want)
		}
	}
	after := contents(t, dir)
	for name, content := range before {
		if !bytes.Equal(after[name], content) {
			t.Errorf("%s changed", name)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "issuing-2.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key: %v, %v", info.Mode(), err)
	}
	f, err := ca.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	requests, err := f.Requests()
	if err != nil || len(requests) != 2 || requests[1].Name != "issuing-3" {
		t.Fatalf("requests: %v, %v", requests, err)
	}
	if _, err := ca.RequestKey(dir, requests[0], passphrase); err != nil {
		t.Error(err)
	}
	if _, err := ca.RequestKey(dir, requests[0], ca.Passphrase("wrong")); !errors.Is(err, ca.ErrPassphrase) {
		t.Errorf("wrong passphrase: got %v", err)
	}
	requests[0].Name = "issuing-3"
	if _, err := ca.RequestKey(dir, requests[0], passphrase); err == nil {
		t.Error("the key of another request was taken")
	}
}

// A crash between request and key leaves a request that nothing waits for; the next takes
// its place.
func TestRequestAfterACrash(t *testing.T) {
	dir := t.TempDir()
	ca.FixtureFile(t, dir, "issuing.csr", []byte("half"))
	if list, err := ca.PendingRequests(dir); err != nil || len(list) != 0 {
		t.Errorf("pending: %v, %v", list, err)
	}
	if _, err := ca.OpenFolder(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if name := addNewRequest(t, dir, "issuing-ec", ""); name != "issuing" {
		t.Errorf("got name %s", name)
	}
	if list, err := ca.PendingRequests(dir); err != nil || len(list) != 1 {
		t.Errorf("pending: %v, %v", list, err)
	}
}

func TestNewRequestRefuses(t *testing.T) {
	if _, err := ca.NewRequest(ca.FixtureKey(t, "issuing-ec"), ca.RequestConfig{}); err == nil {
		t.Error("no subject: got no error")
	}
	subject, err := ca.ParseCAName("CN=a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.NewRequest(ca.FixtureKey(t, "issuing-ec"), ca.RequestConfig{Subject: subject, Template: "Süb"}); err == nil {
		t.Error("template that no tool reads: got no error")
	}
}
