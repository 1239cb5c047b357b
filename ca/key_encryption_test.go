package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"certportal/ca"
)

func TestEncryptedKeyDecrypts(t *testing.T) {
	for _, name := range []string{"user-rsa", "user-ec", "root-ec"} {
		t.Run(name, func(t *testing.T) {
			key := ca.FixtureKey(t, name)
			file, err := ca.EncryptKey(key, []byte("correct horse"))
			if err != nil {
				t.Fatal(err)
			}
			opened, err := ca.DecryptKey(file, []byte("correct horse"))
			if err != nil {
				t.Fatal(err)
			}
			if !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(opened) {
				t.Error("another key came out")
			}
			if opened, err := ca.DecryptKey(file, []byte("Correct horse")); !errors.Is(err, ca.ErrPassphrase) || opened != nil {
				t.Errorf("wrong passphrase: got %v, want %v", err, ca.ErrPassphrase)
			}
			again, err := ca.EncryptKey(key, []byte("correct horse"))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(file, again) {
				t.Error("two files are equal: salt or nonce was used twice")
			}
		})
	}
}

func TestA13_EncryptedKeyHidesTheKey(t *testing.T) {
	key := ca.FixtureKey(t, "user-ec")
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file, err := ca.EncryptKey(key, []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(file)
	if block == nil || len(rest) > 0 {
		t.Fatal("file is not one PEM block")
	}
	for n := 0; n+8 <= len(plain); n++ {
		if bytes.Contains(block.Bytes, plain[n:n+8]) || bytes.Contains(file, plain[n:n+8]) {
			t.Fatalf("octets %d to %d of the key are in the file", n, n+8)
		}
	}
}

func TestEncryptKeyRefuses(t *testing.T) {
	if _, err := ca.EncryptKey(ca.FixtureKey(t, "user-ec"), nil); err == nil {
		t.Error("empty passphrase: got a file")
	}
	if _, err := ca.EncryptKey(brokenSigner{Signer: ca.FixtureKey(t, "user-ec")}, []byte("x")); err == nil {
		t.Error("key in a device: got a file")
	}
	_, edwards, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := ca.EncryptKey(edwards, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.DecryptKey(file, []byte("x")); err == nil || !strings.Contains(err.Error(), "not RSA or ECDSA") {
		t.Errorf("ed25519: got %v", err)
	}
}

// Hostile headers must be refused before the key derivation with their costs. The
// error differs from that of a wrong passphrase, which comes after it.
func TestDecryptKeyRefusesHostileFiles(t *testing.T) {
	good, err := ca.EncryptKey(ca.FixtureKey(t, "user-ec"), []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	header := func(name, value string) []byte {
		block, _ := pem.Decode(good)
		block.Headers[name] = value
		return pem.EncodeToMemory(block)
	}
	for _, test := range []struct {
		name   string
		file   []byte
		reason string
	}{
		{"terabytes", header("Memory", "4294967295"), "out of bounds"},
		{"one GiB", header("Memory", "1048576"), "out of bounds"},
		{"too little memory", header("Memory", "8"), "out of bounds"},
		{"more than 32 bits", header("Memory", "4294967296"), "Memory"},
		{"negative memory", header("Memory", "-1"), "Memory"},
		{"no passes", header("Passes", "0"), "out of bounds"},
		{"years of passes", header("Passes", "4294967295"), "out of bounds"},
		{"no threads", header("Threads", "0"), "out of bounds"},
		{"255 threads", header("Threads", "255"), "out of bounds"},
		{"256 threads", header("Threads", "256"), "Threads"},
		{"another derivation", header("Kdf", "none"), "key derivation"},
		{"short salt", header("Salt", "AAAA"), "Salt has 3 octets"},
		{"salt not in base64", header("Salt", "*"), "Salt"},
		{"short nonce", header("Nonce", "AAAA"), "Nonce has 3 octets"},
		{"no header", pem.EncodeToMemory(&pem.Block{Type: "CERTPORTAL SEALED KEY", Bytes: []byte("x")}), "key derivation"},
		{"another PEM block", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), "no PEM block"},
		{"no PEM", []byte("key"), "no PEM block"},
		{"huge file", bytes.Repeat([]byte("A"), 1<<20), "more than"},
		{"empty", nil, "no PEM block"},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := ca.DecryptKey(test.file, []byte("correct horse"))
			if key != nil || err == nil || errors.Is(err, ca.ErrPassphrase) || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want it to hold %q", err, test.reason)
			}
		})
	}
}

func TestDecryptKeyNoticesChanges(t *testing.T) {
	good, err := ca.EncryptKey(ca.FixtureKey(t, "user-ec"), []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*pem.Block)
	}{
		{"fewer passes", func(b *pem.Block) { b.Headers["Passes"] = "1" }},
		{"other threads", func(b *pem.Block) { b.Headers["Threads"] = "1" }},
		{"more memory", func(b *pem.Block) { b.Headers["Memory"] = "65540" }},
		{"flipped bit", func(b *pem.Block) { b.Bytes[0] ^= 1 }},
		{"cut off", func(b *pem.Block) { b.Bytes = b.Bytes[:8] }},
		{"empty", func(b *pem.Block) { b.Bytes = nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			block, _ := pem.Decode(good)
			test.change(block)
			if key, err := ca.DecryptKey(pem.EncodeToMemory(block), []byte("correct horse")); !errors.Is(err, ca.ErrPassphrase) || key != nil {
				t.Errorf("got %v, want %v", err, ca.ErrPassphrase)
			}
		})
	}
}
