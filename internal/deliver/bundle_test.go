package deliver_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"certportal/internal/deliver"
)

// password has the form of NewPassword's.
const password = "abcd2345wxyz"

// testdata holds made-up keys: root.pem signed issuing.pem, which signed
// rsa-leaf.pem (RSA 2048) and ec-leaf.pem (P-256), all valid until 2056.

// keyKinds are the kinds of key in testdata.
func keyKinds() []string { return []string{"rsa", "ec"} }

// formats are all formats.
func formats() []deliver.Format {
	return []deliver.Format{deliver.FormatLegacy, deliver.FormatModern}
}

// bundle makes a complete Bundle with a kind of key.
func bundle(t testing.TB, kind string, format deliver.Format, name string) deliver.Bundle {
	t.Helper()
	return deliver.Bundle{
		Key:      signer(t, kind),
		Leaf:     certificate(t, kind+"-leaf"),
		Chain:    []*x509.Certificate{certificate(t, "issuing")},
		Name:     name,
		Password: password,
		Format:   format,
	}
}

func signer(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(der(t, kind+"-key"))
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer)
}

func certificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func der(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s.pem holds no PEM", name)
	}
	return block.Bytes
}

// make12 makes the PKCS#12 file or ends the test.
func make12(t testing.TB, b deliver.Bundle) []byte {
	t.Helper()
	file, err := deliver.PKCS12(b)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// repeatable gives a reader with the same bytes for the same seed.
func repeatable(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }
