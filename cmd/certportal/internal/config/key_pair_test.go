package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

// keyFiles are a folder with a certificate, its key, and a passphrase.
type keyFiles struct {
	t   *testing.T
	dir string
	key crypto.Signer
}

func newKeyFiles(t *testing.T, key crypto.Signer, err error) keyFiles {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	f := keyFiles{t, t.TempDir(), key}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "svc-portal"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600)
	f.write("plain.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain}), 0o600)
	f.write("passphrase", []byte("pass phräse \n"), 0o600)
	return f
}

func ecKeyFiles(t *testing.T) keyFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return newKeyFiles(t, key, err)
}

func (f keyFiles) path(name string) string { return filepath.Join(f.dir, name) }

func (f keyFiles) write(name string, text []byte, mode os.FileMode) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), text, mode); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Chmod(f.path(name), mode); err != nil {
		f.t.Fatal(err)
	}
}

// openssl runs OpenSSL in the folder.
func (f keyFiles) openssl(args ...string) {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), "openssl", args...)
	cmd.Dir = f.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// encrypt makes the file name from plain.key with the command of OpenSSL.
func (f keyFiles) encrypt(name string, options ...string) {
	f.t.Helper()
	f.openssl(append([]string{"pkcs8", "-topk8", "-in", "plain.key", "-out", name, "-passout", "file:passphrase"}, options...)...)
}

func (f keyFiles) pair(key, passphrase string) KeyPair {
	p := KeyPair{Setting: AgentKey, Certificate: f.path("cert.pem"), Key: f.path(key)}
	if passphrase != "" {
		p.PassphraseFile = f.path(passphrase)
	}
	return p
}

// Keys that OpenSSL encrypted are opened: every cipher and hash that is taken, RSA and EC.
func TestEncryptedKeys(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	for name, f := range map[string]keyFiles{"RSA": newKeyFiles(t, key, err), "EC": ecKeyFiles(t)} {
		for _, cipher := range []string{"aes-128-cbc", "aes-192-cbc", "aes-256-cbc"} {
			for _, prf := range []string{"hmacWithSHA1", "hmacWithSHA256", "hmacWithSHA384", "hmacWithSHA512"} {
				f.encrypt("sealed.key", "-v2", cipher, "-v2prf", prf)
				pair, err := f.pair("sealed.key", "passphrase").Reader(nil)()
				if err != nil {
					t.Errorf("%s, %s, %s: %v", name, cipher, prf, err)
				} else if !pair.PrivateKey.(interface{ Equal(crypto.PrivateKey) bool }).Equal(f.key) {
					t.Errorf("%s, %s, %s: another key", name, cipher, prf)
				}
			}
		}
	}
}

// What is wrong with a key is said so that it can be mended, and no such key is used.
func TestKeysThatAreRefused(t *testing.T) {
	f, other := ecKeyFiles(t), ecKeyFiles(t)
	f.encrypt("sealed.key", "-v2", "aes-256-cbc")
	f.encrypt("scrypt.key", "-scrypt")
	f.encrypt("v1.key", "-v1", "PBE-SHA1-3DES")
	f.encrypt("3des.key", "-v2", "des3")
	f.openssl("ec", "-in", "plain.key", "-out", "old.key", "-aes128", "-passout", "file:passphrase")
	f.write("wrong", []byte("another\n"), 0o600)
	f.write("open-passphrase", []byte("pass phräse \n"), 0o644)
	text, err := os.ReadFile(f.path("sealed.key"))
	if err != nil {
		t.Fatal(err)
	}
	f.write("open.key", text, 0o644)
	f.write("empty.key", nil, 0o600)
	stranger := f.pair("plain.key", "")
	stranger.Certificate = other.path("cert.pem")
	for _, tt := range []struct {
		name, want string
		pair       KeyPair
	}{
		{"wrong passphrase", ca.ErrPassphrase.Error(), f.pair("sealed.key", "wrong")},
		{"no passphrase", "agent_key_passphrase_file", f.pair("sealed.key", "")},
		{"passphrase for a plain key", "not encrypted", f.pair("plain.key", "passphrase")},
		{"readable key", "chmod", f.pair("open.key", "passphrase")},
		{"readable passphrase", "chmod", f.pair("sealed.key", "open-passphrase")},
		{"missing passphrase", "no such file", f.pair("sealed.key", "missing")},
		{"of another certificate", "is not that of the certificate", stranger},
		{"scrypt", convertKey, f.pair("scrypt.key", "passphrase")},
		{"PBES1", convertKey, f.pair("v1.key", "passphrase")},
		{"3DES", convertKey, f.pair("3des.key", "passphrase")},
		{"traditional", convertKey, f.pair("old.key", "passphrase")},
		{"no key", "no private key", f.pair("empty.key", "passphrase")},
	} {
		pair, err := tt.pair.Reader(nil)()
		if err == nil || pair != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	iv, err := asn1.Marshal(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	aes256 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, Parameters: asn1.RawValue{FullBytes: iv}}
	for _, rounds := range []int{-1, 0, 1_000_001} {
		if _, err := (pbkdf2Parameters{Rounds: rounds}).open(aes256, make([]byte, 32), nil); err == nil || !strings.Contains(err.Error(), "rounds of PBKDF2") {
			t.Errorf("%d rounds: %v", rounds, err)
		}
	}
}

// A wrong passphrase is tried once as long as the files are the same: it is slow, and each
// request would try it again.
func TestWrongPassphraseIsTriedOnce(t *testing.T) {
	f := ecKeyFiles(t)
	f.encrypt("sealed.key", "-v2", "aes-256-cbc")
	f.write("tried", []byte("another\n"), 0o600)
	read := f.pair("sealed.key", "tried").Reader(nil)
	_, first := read()
	if _, again := read(); !errors.Is(first, ca.ErrPassphrase) || again != first {
		t.Errorf("tried again: %v and %v", first, again)
	}
	f.write("tried", []byte("a third\n"), 0o600)
	if _, other := read(); !errors.Is(other, ca.ErrPassphrase) || other == first {
		t.Errorf("another passphrase is not tried: %v", other)
	}
	f.write("tried", []byte("pass phräse \n"), 0o600)
	if pair, err := read(); err != nil || pair == nil {
		t.Errorf("the right one: %v", err)
	}
}

// A key is read again when its file, its passphrase or its certificate changed, and one that
// became wrong is not replaced by the one before.
func TestKeysAreReadAgain(t *testing.T) {
	f, next := ecKeyFiles(t), ecKeyFiles(t)
	f.encrypt("sealed.key", "-v2", "aes-256-cbc")
	read := f.pair("sealed.key", "passphrase").Reader(nil)
	first, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := read(); err != nil || again != first {
		t.Errorf("the same files were opened twice: %v", err)
	}
	f.write("passphrase", []byte("wrong\n"), 0o600)
	if _, err := read(); !errors.Is(err, ca.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	next.encrypt("sealed.key", "-v2", "aes-256-cbc")
	for _, name := range []string{"cert.pem", "sealed.key", "passphrase"} {
		text, err := os.ReadFile(next.path(name))
		if err != nil {
			t.Fatal(err)
		}
		f.write(name, text, 0o600)
	}
	renewed, err := read()
	if err != nil || renewed.Leaf.Equal(first.Leaf) {
		t.Errorf("renewed: %v", err)
	}
	f.write("sealed.key", nil, 0o600)
	if _, err := read(); err == nil {
		t.Error("a key that is gone is still used")
	}
}

// A key file that was cut is refused, one that was changed gives no other key, and nothing
// panics.
func TestEncryptedKeyDamaged(t *testing.T) {
	f := ecKeyFiles(t)
	f.encrypt("sealed.key", "-v2", "aes-256-cbc", "-iter", "1")
	text, err := os.ReadFile(f.path("sealed.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	opens := func(der []byte) (crypto.PrivateKey, error) {
		f.write("damaged.key", pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), 0o600)
		pair, err := f.pair("damaged.key", "passphrase").Reader(nil)()
		if err != nil {
			return nil, err
		}
		return pair.PrivateKey, nil
	}
	if _, err := opens(block.Bytes); err != nil {
		t.Fatal(err)
	}
	for n := range block.Bytes {
		if _, err := opens(block.Bytes[:n]); err == nil {
			t.Errorf("cut after %d octets: accepted", n)
		}
		damaged := append([]byte(nil), block.Bytes...)
		damaged[n] ^= 0x40
		if key, err := opens(damaged); err == nil && !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(f.key) {
			t.Errorf("octet %d changed: another key", n)
		}
	}
}

func TestTokenKeys(t *testing.T) {
	k, err := ParseTokenKey("pkcs11:model=SoftHSM%20v2;token=Corp%20Portal;id=%01%ff;object=agent;type=private")
	if err != nil || k.Token != "Corp Portal" || k.Object != "agent" || string(k.ID) != "\x01\xff" {
		t.Errorf("%+v, %v", k, err)
	}
	for uri, want := range map[string]string{
		"pkcs11:token=T":                            "object=LABEL",
		"pkcs11:object=agent":                       "token=LABEL",
		"pkcs11:token=T;object=a?pin-value=123456":  "leave out what follows",
		"pkcs11:token=T;object=a?module-path=/m.so": "leave out what follows",
		"pkcs11:token=T;object=a;slot-id=3":         `"slot-id" is not known`,
		"pkcs11:token=T;object=a;type=cert":         "a private key is needed",
		"pkcs11:token=T;token=U;object=a":           "there twice",
		"pkcs11:token=T;object=%zz":                 "wrong %",
		"pkcs11:token=;object=a":                    "is empty",
	} {
		if _, err := ParseTokenKey(uri); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", uri, err, want)
		}
	}
}
