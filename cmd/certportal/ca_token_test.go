//go:build !pkcs11

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWithoutPKCS11: a program without PKCS#11 says so where it meets a setting or a key of
// a token, makes no key in a file instead, and serves.
func TestWithoutPKCS11(t *testing.T) {
	pin := writeFile(t, t.TempDir(), "pin", "1234")
	module := writeFile(t, t.TempDir(), "module.so", "")
	environ := map[string]string{
		"CERTPORTAL_CA_PKCS11_MODULE": module, "CERTPORTAL_CA_PKCS11_ISSUING_TOKEN": "Corp", "CERTPORTAL_CA_PKCS11_ISSUING_PIN_FILE": pin,
	}
	data := t.TempDir()
	for _, args := range [][]string{{"ca", "init"}, {"ca", "csr", "--out", filepath.Join(t.TempDir(), "x.csr")}, {"config", "check"}} {
		r := within(t, data, environ, args...)
		if r.code != exitFailed || !strings.Contains(r.out+r.err, "built without PKCS#11") || !strings.Contains(r.out+r.err, "-tags pkcs11") {
			t.Errorf("%v: exit %d\n%s%s", args, r.code, r.out, r.err)
		}
	}
	first, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(data, "ca", "issuing.key")
	reference := "-----BEGIN CERTPORTAL TOKEN KEY-----\nId: 0102030405060708\nLabel: certportal issuing 0102030405060708\nToken: Corp\n\n" +
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeQUleQCmO7o5YOIQbrBrrDnPmfDF\n/xS49bJMvH4AzmEdQ+czcjpiu0UdrJMIp0qDQMnJVZh+AYTJkQPtCBU3XQ==\n" +
		"-----END CERTPORTAL TOKEN KEY-----\n"
	if err := os.WriteFile(key, []byte(reference), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, "--data", data, "ca", "show"); !strings.Contains(out, `in the token "Corp" as "certportal issuing 0102030405060708"`) {
		t.Errorf("ca show prints\n%s", out)
	}
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CA.Ready(); err == nil || !strings.Contains(err.Error(), "built without PKCS#11") {
		t.Errorf("ready: %v", err)
	}
}
