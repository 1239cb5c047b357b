package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// requestOf makes a request and gives it.
func requestOf(t *testing.T, data string, args ...string) *x509.CertificateRequest {
	t.Helper()
	out := filepath.Join(t.TempDir(), "ca.csr")
	mustRun(t, append([]string{"--data", data, "ca", "csr", "--out", out}, args...)...)
	file, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func shownJSON(t *testing.T, data string) shownCA {
	t.Helper()
	var shown shownCA
	if err := json.Unmarshal([]byte(mustRun(t, "--data", data, "ca", "show", "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	return shown
}

// A request can be made before there is a CA. The portal then does not make one of its own.
func TestRequestBeforeACA(t *testing.T) {
	data := t.TempDir()
	first := requestOf(t, data)
	if got := first.Subject.String(); got != "CN=Company Issuing CA,O=Company" {
		t.Errorf("subject %s", got)
	}
	second := requestOf(t, data, "--subject", `CN=Phones,O=Corp\, Inc.,DC=corp`, "--template", "SubCA")
	if got := second.Subject.CommonName; got != "Phones" {
		t.Errorf("subject %s", got)
	}
	shown := shownJSON(t, data)
	if len(shown.Requests) != 2 || shown.Requests[0].Name != "issuing" || shown.Requests[1].Name != "issuing-2" || shown.Root != nil {
		t.Errorf("shown: %+v", shown)
	}
	if out := mustRun(t, "--data", data, "ca", "show"); strings.Count(out, "waiting for its certificate") != 2 {
		t.Errorf("show prints %s", out)
	}
	for _, command := range [][]string{{"ca", "init"}, {"serve"}, {"demo", "--listen", "127.0.0.1:0"}} {
		r := certportal(t, "", append([]string{"--data", data}, command...)...)
		if r.code != exitFailed || !strings.Contains(r.err, "ca import") {
			t.Errorf("%v: exit %d, %s", command, r.code, r.err)
		}
	}
}

// A request beside a CA changes none of its files.
func TestRequestBesideACA(t *testing.T) {
	data := t.TempDir()
	mustRun(t, "--data", data, "ca", "init")
	before := map[string][]byte{}
	for _, name := range []string{"root.crt", "root.key", "issuing.crt", "issuing.key"} {
		before[name], _ = os.ReadFile(filepath.Join(data, "ca", name))
	}
	if got := requestOf(t, data).Subject.String(); got != "CN=Company Issuing CA 2,O=Company" {
		t.Errorf("subject %s", got)
	}
	for name, content := range before {
		if after, err := os.ReadFile(filepath.Join(data, "ca", name)); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	shown := shownJSON(t, data)
	if len(shown.Authorities) != 1 || len(shown.Requests) != 1 || shown.Requests[0].Name != "issuing-2" ||
		!shown.OwnRoot || !shown.RootKeyHere || len(shown.Lists) != 2 || shown.Lists[0].Number == 0 {
		t.Errorf("shown: %+v", shown)
	}
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		want string
		code int
	}{
		{"file that is there", []string{"--out", taken}, "already", exitUsage},
		{"no folder", []string{"--out", filepath.Join(data, "nowhere", "x")}, "no folder", exitUsage},
		{"bad name", []string{"--out", taken + "2", "--subject", "/CN=x"}, "OpenSSL", exitFailed},
		{"name of the CA there", []string{"--out", taken + "2", "--subject", "CN=Company Issuing CA,O=Company"}, "another with --subject", exitFailed},
		{"bad template", []string{"--out", taken + "2", "--template", "Süb"}, "template", exitFailed},
	} {
		r := certportal(t, "", append([]string{"--data", data, "ca", "csr"}, test.args...)...)
		if r.code != test.code || !strings.Contains(r.err, test.want) {
			t.Errorf("%s: exit %d, %s", test.name, r.code, r.err)
		}
	}
	if err := os.WriteFile(filepath.Join(data, "ca-passphrase"), []byte("another passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := certportal(t, "", "--data", data, "ca", "csr", "--out", taken+"2"); r.code != exitFailed || !strings.Contains(r.err, "passphrase") {
		t.Errorf("other passphrase than that of the CA: exit %d, %s", r.code, r.err)
	}
	if got := len(shownJSON(t, data).Requests); got != 1 {
		t.Errorf("%d requests after refused ones", got)
	}
}
