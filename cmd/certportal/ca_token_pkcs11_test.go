//go:build pkcs11

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/softhsm"
)

// tokenEnvironment is that of a portal with keys in tokens.
func tokenEnvironment(h *softhsm.HSM, root, issuing string) map[string]string {
	environ := map[string]string{"CERTPORTAL_CA_PKCS11_MODULE": h.Module}
	for part, token := range map[string]string{"ROOT": root, "ISSUING": issuing} {
		if token != "" {
			environ["CERTPORTAL_CA_PKCS11_"+part+"_TOKEN"] = token
			environ["CERTPORTAL_CA_PKCS11_"+part+"_PIN_FILE"] = h.PINFile
		}
	}
	return environ
}

func (r result) must(t *testing.T, what string, want ...string) string {
	t.Helper()
	if r.code != exitDone {
		t.Fatalf("%s: exit %d\n%s%s", what, r.code, r.out, r.err)
	}
	for _, text := range want {
		if !strings.Contains(r.out, text) {
			t.Errorf("%s does not print %q:\n%s", what, text, r.out)
		}
	}
	return r.out
}

func (r result) refused(t *testing.T, what string, want ...string) {
	t.Helper()
	for _, text := range want {
		if r.code == exitDone || !strings.Contains(r.err+r.out, text) {
			t.Errorf("%s: exit %d, want %q in\n%s%s", what, r.code, text, r.out, r.err)
		}
	}
}

// TestCAInTokens makes root and issuing CA in two tokens, and the next one; ca show and
// config check say where the keys are.
func TestCAInTokens(t *testing.T) {
	h := softhsm.New(t, "Corp Root", "Corp Issuing")
	data, environ := t.TempDir(), tokenEnvironment(h, "Corp Root", "Corp Issuing")
	do := func(args ...string) result { return within(t, data, environ, args...) }
	do("ca", "init").must(t, "ca init", `key is       in the token "Corp Issuing" as "certportal issuing `, `Root key: in the token "Corp Root" as "certportal root `)
	shown := do("ca", "show", "--json").must(t, "ca show --json", `"kind": "token"`, `"token": "Corp Root"`, `"token": "Corp Issuing"`)
	if strings.Contains(shown, `"kind": "file"`) {
		t.Errorf("a key is in a file:\n%s", shown)
	}
	do("ca", "init").refused(t, "a second ca init", "there is a CA in")
	do("ca", "export-root-key", "--to", filepath.Join(t.TempDir(), "root.key")).refused(t, "exporting the root's key", `in the token "Corp Root", which it never leaves`)
	do("ca", "next").must(t, "ca next", "issuing-2 is made and pending")
	do("ca", "crl", "--publish").must(t, "ca crl --publish", "of root.", "of issuing.", "of issuing-2.")
	do("ca", "activate", "issuing-2").must(t, "ca activate", "issuing-2 issues from now on")
	if got := h.Objects(); got != 6 {
		t.Errorf("%d objects in the tokens, want two of each of three keys", got)
	}
	check := do("config", "check")
	for _, want := range []string{
		"the token Corp Issuing opens and makes keys of the kind ec-p256", "the token Corp Root opens",
		"key of root", "key of issuing", "key of issuing-2", "it is in its token",
	} {
		if !strings.Contains(check.out, want) {
			t.Errorf("config check does not print %q:\n%s", want, check.out)
		}
	}
	do("version").must(t, "version", "with PKCS#11")
}

// TestRequestInToken has the key of a CA under the company's root in a token.
func TestRequestInToken(t *testing.T) {
	h := softhsm.New(t, "Corp Issuing")
	data, dir, environ := t.TempDir(), t.TempDir(), tokenEnvironment(h, "", "Corp Issuing")
	do := func(args ...string) result { return within(t, data, environ, args...) }
	csr := filepath.Join(dir, "phones.csr")
	do("ca", "csr", "--out", csr, "--subject", "CN=Corp Phones CA,O=Corp").must(t, "ca csr")
	do("ca", "csr", "--out", filepath.Join(dir, "second.csr"), "--subject", "CN=Corp Phones CA 2,O=Corp").must(t, "a second ca csr")
	signed := opensslCompany(t, dir, csr)
	h.Remove()
	do("ca", "import", "--cert", signed.cert, "--chain", signed.chain).refused(t, "an import without the token", `in the token "Corp Issuing"`)
	if _, err := os.Stat(filepath.Join(data, "ca", "issuing.crt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the certificate was imported: %v", err)
	}
	h.Restore()
	do("ca", "import", "--cert", signed.cert, "--chain", signed.chain).must(t, "ca import", "Imported CN=Corp Phones CA,O=Corp as issuing")
	do("ca", "show").must(t, "ca show", `key is       in the token "Corp Issuing"`, "the root is the company's")
}

// TestF23_NothingHalfDoneInTokens: what goes wrong with a token at init, request and next is
// a sentence; no CA and no key is left behind, and the CA that runs is untouched.
func TestF23_NothingHalfDoneInTokens(t *testing.T) {
	h := softhsm.New(t, "Corp Root", "Corp Issuing")
	fault := h.Faulty()
	data, environ := t.TempDir(), tokenEnvironment(h, "Corp Root", "Corp Issuing")
	do := func(args ...string) result { return within(t, data, environ, args...) }
	for _, test := range []struct {
		name, want   string
		begin, mends func()
	}{
		{"wrong PIN", "the token refuses the PIN", func() { h.SetPIN("111111") }, func() { h.SetPIN(softhsm.PIN) }},
		{"PIN file open to others", "can be read by other users: chmod 600", func() { mode(t, h.PINFile, 0o644) }, func() { mode(t, h.PINFile, 0o600) }},
		{"token away", "the module answers with an error", h.Remove, h.Restore},
		{"token full", "the token is full", func() { fault.Set("C_GenerateKeyPair", softhsm.DeviceMemory, 0) }, fault.Clear},
		{"no signature", "the token is gone", func() { fault.Set("C_Sign", softhsm.DeviceRemoved, 0) }, fault.Clear},
	} {
		test.begin()
		do("ca", "init").refused(t, "ca init, "+test.name, test.want)
		do("ca", "csr", "--out", filepath.Join(t.TempDir(), "x.csr")).refused(t, "ca csr, "+test.name, test.want)
		test.mends()
		if got := h.Objects(); got != 0 && test.name != "no signature" {
			t.Errorf("%s: %d objects are left in the tokens", test.name, got)
		}
		for _, file := range []string{"root.key", "root.crt", "issuing.key", "issuing.crt", "issuing.csr"} {
			if _, err := os.Stat(filepath.Join(data, "ca", file)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s is left", test.name, file)
			}
		}
	}
	do("ca", "init").must(t, "ca init after all")
	before := folderContents(t, filepath.Join(data, "ca"))
	h.SetPIN("111111")
	do("ca", "next").refused(t, "ca next with a wrong PIN", "the token refuses the PIN")
	h.SetPIN(softhsm.PIN)
	for name, content := range folderContents(t, filepath.Join(data, "ca")) {
		if string(before[name]) != string(content) {
			t.Errorf("%s changed", name)
		}
	}
}

func mode(t *testing.T, file string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

// TestLeavingATokenThatDied: a portal whose token is lost for good goes on with a key in a
// file, made by settings without tokens.
func TestLeavingATokenThatDied(t *testing.T) {
	h := softhsm.New(t, "Corp Issuing")
	data := t.TempDir()
	within(t, data, tokenEnvironment(h, "", "Corp Issuing"), "ca", "init").must(t, "ca init")
	h.Remove()
	without := map[string]string{}
	within(t, data, without, "ca", "next").must(t, "ca next")
	within(t, data, without, "ca", "crl", "--publish", "--issuer", "issuing-2").must(t, "its list")
	within(t, data, without, "ca", "activate", "issuing-2").must(t, "ca activate")
	within(t, data, without, "ca", "crl", "--publish", "--issuer", "issuing").refused(t, "a list of the CA that is lost", "which the settings do not name")
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CA.Ready(); err != nil {
		t.Errorf("the portal does not issue: %v", err)
	}
}
