package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImportRefuses: a sentence each, nothing written, the running CA untouched.
func TestImportRefuses(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	mustRun(t, "--data", data, "ca", "init")
	if r := certportal(t, "", "--data", data, "ca", "import", "--cert", filepath.Join(data, "ca", "issuing.crt")); r.code != exitFailed || !strings.Contains(r.err, "imported already") {
		t.Errorf("the running CA: exit %d, %s", r.code, r.err)
	}
	csr := filepath.Join(dir, "phones.csr")
	mustRun(t, "--data", data, "ca", "csr", "--out", csr, "--subject", "CN=Corp Phones CA,O=Corp")
	made := gnutlsCompany(t, dir, csr)
	cert, chain := made.cert, made.chain
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
