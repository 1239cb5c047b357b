package ca

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The exported names are for the tests in package ca_test as well.

// FixtureNow is the fixed clock of all tests.
func FixtureNow() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) }

// FixtureSubject has every field set.
func FixtureSubject() Subject {
	return Subject{
		UPN:  "alice@example.com",
		Mail: "alice.liddell@example.com",
		SID:  "S-1-5-21-1381186052-4247692386-135928078-1225",
	}
}

// FixtureKey reads a private key from testdata/keys.
func FixtureKey(t testing.TB, name string) crypto.Signer {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(fixtureBlock(t, name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer)
}

// FixturePublicKey reads a weak public key from testdata/keys.
func FixturePublicKey(t testing.TB, name string) crypto.PublicKey {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(fixtureBlock(t, name+".pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func fixtureBlock(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	if block == nil {
		t.Fatalf("%s holds no PEM block", name)
	}
	return block.Bytes
}

// FixtureRand gives the same octets for the same seed.
func FixtureRand(seed string) *rand.ChaCha8 { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }

// FixtureHierarchy is a CA with keys of an algorithm, "rsa" or "ec".
func FixtureHierarchy(t testing.TB, algorithm string) *Hierarchy {
	t.Helper()
	return FixtureHierarchyAt(t, algorithm, FixtureNow())
}

// FixtureHierarchyAt is the same CA made at another time.
func FixtureHierarchyAt(t testing.TB, algorithm string, now time.Time) *Hierarchy {
	t.Helper()
	h, err := CreateHierarchy(HierarchyConfig{
		Organization: "Example",
		RootKey:      FixtureKey(t, "root-"+algorithm),
		IssuingKey:   FixtureKey(t, "issuing-"+algorithm),
		CRLURL:       "http://pki.example.com/crl/root.crl",
		IssuerURL:    "http://pki.example.com/ca/root.cer",
		Rand:         FixtureRand("hierarchy"),
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// FixtureIssuer is the issuing CA of FixtureHierarchy, with fixed serials.
func FixtureIssuer(t testing.TB, algorithm string) *Issuer {
	t.Helper()
	h := FixtureHierarchy(t, algorithm)
	i, err := NewIssuer(IssuerConfig{
		Certificate: h.Issuing, Signer: h.IssuingKey, Publication: FixturePublication(), Rand: FixtureRand("serials"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// FixturePublication has addresses of every kind.
func FixturePublication() Publication {
	return Publication{
		CRLURLs:    []string{"http://pki.example.com/crl/issuing.crl", "ldap:///CN=Example?certificateRevocationList"},
		IssuerURLs: []string{"http://pki.example.com/ca/issuing.cer"},
		OCSPURLs:   []string{"http://pki.example.com/ocsp"},
	}
}

// FixtureProfileConfig is the User profile.
func FixtureProfileConfig() ProfileConfig { return ProfileConfig{Name: "User"} }

// FixtureProfile is FixtureProfileConfig, checked.
func FixtureProfile(t testing.TB) *Profile {
	t.Helper()
	p, err := NewProfile(FixtureProfileConfig())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// FixtureServer describes the portal's own certificate.
func FixtureServer() ServerConfig {
	return ServerConfig{Names: []string{"portal.example.com", "localhost", "192.0.2.7", "2001:db8::7"}}
}

// FixtureProgram finds another program whose result a test compares. If the program
// is absent, the test is skipped, on CI it fails.
func FixtureProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: %v", name, err)
	}
	t.Skipf("%s is not installed: its opinion is not asked", name)
	return ""
}

// FixtureRun runs a program and gives what it printed.
func FixtureRun(t testing.TB, program string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}

// FixtureFile writes a file into a folder of the test.
func FixtureFile(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
