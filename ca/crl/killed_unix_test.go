//go:build unix

package crl_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/x509"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/test/testkit"
)

// Environment variables of the process that publishes until it is killed.
const (
	killedFolder = "CERTPORTAL_TEST_KILLED_FOLDER"
	killedCA     = "CERTPORTAL_TEST_KILLED_CA"
)

// TestF9_KilledWhilePublishing kills a process that publishes into a folder as fast as it
// can, fifty times: a reader finds a whole list, and its number never decreases.
func TestF9_KilledWhilePublishing(t *testing.T) {
	if os.Getenv(killedFolder) != "" {
		publishForEver(t)
	}
	folder, keys := t.TempDir(), t.TempDir()
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(h.IssuingKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, octets := range map[string][]byte{"key": key, "cert": h.Issuing.Raw} {
		if err := os.WriteFile(filepath.Join(keys, name), octets, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := int64(0)
	for range testkit.Times(t, 50) {
		killSoon(t, folder, keys)
		raw, err := os.ReadFile(filepath.Join(folder, "issuing.crl"))
		if err != nil {
			t.Fatal(err)
		}
		crl, err := ca.ReadCRL(raw, h.Issuing)
		if err != nil {
			t.Fatalf("after list %d: %v", last, err)
		}
		if n := crl.Number.Big().Int64(); n < last {
			t.Fatalf("list %d after %d", n, last)
		}
		last = crl.Number.Big().Int64()
	}
	t.Logf("last list %d", last)
}

// killSoon starts a publisher, waits for its first list and some milliseconds, and
// kills it.
func killSoon(t *testing.T, folder, keys string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestF9_KilledWhilePublishing$")
	cmd.Env = append(os.Environ(), killedFolder+"="+folder, killedCA+"="+keys)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "publishing\n" {
		t.Errorf("the publisher says %q, %v", line, err)
	}
	<-time.After(time.Duration(rand.IntN(20_000)) * time.Microsecond)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
}

// publishForEver writes lists with increasing numbers into the folder. It does not return.
func publishForEver(t *testing.T) {
	issuer := keptIssuer(t, os.Getenv(killedCA))
	folder := &crl.Folder{
		Path: os.Getenv(killedFolder), Signers: func() map[string]*x509.Certificate {
			return map[string]*x509.Certificate{"issuing": issuer.Certificate()}
		},
	}
	for n := 0; ; n++ {
		l, err := someList(issuer, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := folder.Put(context.Background(), l); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			os.Stdout.WriteString("publishing\n")
		}
	}
}

// keptIssuer reads the CA that the parent process saved.
func keptIssuer(t *testing.T, folder string) *ca.Issuer {
	t.Helper()
	octets, err := os.ReadFile(filepath.Join(folder, "key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(octets)
	if err != nil {
		t.Fatal(err)
	}
	if octets, err = os.ReadFile(filepath.Join(folder, "cert")); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(octets)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: cert, Signer: key.(crypto.Signer)})
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

// someList is a list of a few kilobytes, with the time in microseconds as its number.
func someList(issuer *ca.Issuer, now time.Time) (crl.List, error) {
	var revoked []ca.Revocation
	for range 200 {
		serial, err := ca.NewSerial(nil)
		if err != nil {
			return crl.List{}, err
		}
		revoked = append(revoked, ca.Revocation{Serial: serial, At: now.Add(-time.Hour)})
	}
	l := crl.List{Issuer: "issuing", Number: now.UnixMicro(), ThisUpdate: now, NextUpdate: now.Add(72 * time.Hour)}
	var err error
	l.DER, err = issuer.CRL(ca.CRLConfig{
		Number: big.NewInt(l.Number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Revoked: revoked,
	})
	return l, err
}
