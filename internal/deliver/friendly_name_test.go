package deliver

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

const namePassword = "abcd2345wxyz"

// encoded makes a file with go-pkcs12 alone, without a name.
func encoded(t testing.TB, encoder *pkcs12.Encoder, password string) []byte {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(pemBytes(t, "ec-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pemBytes(t, "ec-leaf.pem"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := encoder.Encode(key.(crypto.Signer), leaf, nil, password)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func pemBytes(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	return block.Bytes
}

func TestSetFriendlyNameAddsNothingElse(t *testing.T) {
	file := encoded(t, pkcs12.LegacyDES.WithIterations(Iterations), namePassword)
	named, err := setFriendlyName(file, "Ada's phone", namePassword)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(named, bmpBytes("Ada's phone")) {
		t.Error("the name is not in the file")
	}
	key, leaf, _, err := pkcs12.DecodeChain(file, namePassword)
	if err != nil {
		t.Fatal(err)
	}
	namedKey, namedLeaf, _, err := pkcs12.DecodeChain(named, namePassword)
	if err != nil {
		t.Fatal(err)
	}
	if !namedLeaf.Equal(leaf) || !namedKey.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
		t.Error("key or certificate changed")
	}
}

func TestSetFriendlyNameRefuses(t *testing.T) {
	legacy := encoded(t, pkcs12.LegacyDES.WithIterations(Iterations), namePassword)
	named, err := setFriendlyName(legacy, "Ada's phone", namePassword)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(pemBytes(t, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := pkcs12.LegacyDES.WithIterations(Iterations).EncodeTrustStore([]*x509.Certificate{root}, namePassword)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "parsing PFX"},
		{"cut", legacy[:len(legacy)-1], "parsing PFX"},
		{"bytes-behind", append(bytes.Clone(legacy), 0), "1 bytes behind the end"},
		{"stock-iterations", encoded(t, pkcs12.Modern2023, namePassword), "2048 MAC iterations, want 10000"},
		{"no-mac", encoded(t, pkcs12.Passwordless, ""), "parsing PFX"},
		{"pbmac1", encoded(t, pkcs12.Modern2026.WithIterations(Iterations), namePassword), "parsing PFX"},
		{"no-key", trust, "0 shrouded keys, want 1"},
		{"named-before", named, "it has a name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, err := setFriendlyName(tt.file, "Ada's phone", namePassword)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if file != nil {
				t.Error("a file came with the error")
			}
		})
	}
}

func FuzzRelabel(f *testing.F) {
	for _, encoder := range []*pkcs12.Encoder{pkcs12.LegacyDES, pkcs12.Modern2023} {
		file := encoded(f, encoder.WithIterations(Iterations), namePassword)
		f.Add(file, "Ada's phone")
		f.Add(file[:len(file)/2], "艾达的手机")
	}
	f.Add([]byte{0x30, 0x80}, "")
	f.Fuzz(func(t *testing.T, file []byte, name string) {
		named, err := setFriendlyName(file, name, namePassword)
		if err != nil {
			return
		}
		if !bytes.Contains(named, bmpBytes(name)) {
			t.Errorf("name %q is not in the file", name)
		}
		if _, err := setFriendlyName(named, name, namePassword); err == nil {
			t.Error("a second name is taken")
		}
	})
}

// BenchmarkFriendlyName measures the cost of adding a name alone. It is more precise
// than the difference of BenchmarkPKCS12 and BenchmarkEncoder, because the speed of
// go-pkcs12 varies by a tenth with the stack layout.
func BenchmarkFriendlyName(b *testing.B) {
	encoders := map[Format]*pkcs12.Encoder{FormatLegacy: pkcs12.LegacyDES, FormatModern: pkcs12.Modern2023}
	for _, format := range []Format{FormatLegacy, FormatModern} {
		b.Run(string(format), func(b *testing.B) {
			file := encoded(b, encoders[format].WithIterations(Iterations), namePassword)
			for b.Loop() {
				if _, err := setFriendlyName(file, "Ada's phone", namePassword); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
