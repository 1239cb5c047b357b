package ca_test

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"certportal/ca"
	"github.com/smallstep/pkcs7"
)

func TestParseAnchors(t *testing.T) {
	h := ca.FixtureHierarchy(t, "ec")
	both := ca.PEM(h.Root, h.Issuing)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	for _, test := range []struct {
		name   string
		file   []byte
		want   int
		reason string
	}{
		{"PEM", ca.PEM(h.Root), 1, ""},
		{"two PEM", both, 2, ""},
		{"text around", slices.Concat([]byte("subject=x\n"), both, []byte("\nbye\n")), 2, ""},
		{"byte order mark", append([]byte("\xef\xbb\xbf"), both...), 2, ""},
		{"carriage returns", bytes.ReplaceAll(both, []byte("\n"), []byte("\r\n")), 2, ""},
		{"DER", h.Root.Raw, 1, ""},
		{"two DER", slices.Concat(h.Root.Raw, h.Issuing.Raw), 2, ""},
		{"private key among them", slices.Concat(both, key), 0, `block 3 is "PRIVATE KEY"`},
		{"broken block", slices.Concat(both, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), 0, "block 3"},
		{"DER with more behind", append(slices.Clone(h.Root.Raw), 'x'), 0, "parsing certificates"},
		{"empty", nil, 0, "empty"},
		{"text", []byte("hello"), 0, "parsing certificates"},
		{"huge", make([]byte, 2<<20), 0, "more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			certs, err := ca.ParseAnchors(test.file)
			if len(certs) != test.want {
				t.Errorf("got %d certificates and %v, want %d", len(certs), err, test.want)
			}
			if test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason)) {
				t.Errorf("got %v, want it to hold %q", err, test.reason)
			}
		})
	}
}

func TestPKCS7(t *testing.T) {
	h := ca.FixtureHierarchy(t, "ec")
	message, err := ca.PKCS7(h.Issuing, h.Root)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := pkcs7.Parse(message)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Certificates) != 2 || !parsed.Certificates[0].Equal(h.Issuing) || !parsed.Certificates[1].Equal(h.Root) {
		t.Errorf("got %d certificates", len(parsed.Certificates))
	}
	if _, err := ca.PKCS7(); err == nil {
		t.Error("no certificates: got a message")
	}
}

func TestFingerprint(t *testing.T) {
	h := ca.FixtureHierarchy(t, "rsa")
	openssl := ca.FixtureProgram(t, "openssl")
	file := ca.FixtureFile(t, t.TempDir(), "root.pem", ca.PEM(h.Root))
	out, err := ca.FixtureRun(t, openssl, "x509", "-in", file, "-noout", "-fingerprint", "-sha256")
	if err != nil {
		t.Fatal(err, out)
	}
	_, want, _ := strings.Cut(strings.TrimSpace(out), "=")
	if got := ca.Fingerprint(h.Root); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
