package ca_test

import (
	"crypto"
	"crypto/x509"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

// chain is the files that a relying party gets. They are made at the real time,
// because not every program has an option for another.
type chain struct {
	root, issuing, leaf, server string // PEM files
	bundle                      string // leaf, issuing, root
	crl, crlRevoked             string // CRLs of the issuing CA, without and with the leaf
	crls, crlsRevoked           string // the same with the CRL of the root
	crlRevokedDER               string
	dir                         string
}

func newChain(t *testing.T, algorithm string) chain {
	t.Helper()
	now := time.Now()
	h := ca.FixtureHierarchyAt(t, algorithm, now)
	root, issuing := issuerOf(t, h.Root, h.RootKey), issuerOf(t, h.Issuing, h.IssuingKey)
	p, err := issuing.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), ca.FixtureKey(t, "user-"+algorithm).Public(), now)
	if err != nil {
		t.Fatal(err)
	}
	leaf := signed(t, issuing, p)
	served, err := issuing.PrepareOwn(ca.FixtureServer(), ca.FixtureKey(t, "server-ec").Public(), now)
	if err != nil {
		t.Fatal(err)
	}
	revoked := []ca.Revocation{{Serial: p.Serial(), At: now, Reason: 1}, {Serial: serial(t, "01"), At: now}}
	above, good, bad := listAt(t, root, now), listAt(t, issuing, now), listAt(t, issuing, now, revoked...)
	dir := t.TempDir()
	return chain{
		dir:           dir,
		root:          ca.FixtureFile(t, dir, "root.pem", ca.PEM(h.Root)),
		issuing:       ca.FixtureFile(t, dir, "issuing.pem", ca.PEM(h.Issuing)),
		leaf:          ca.FixtureFile(t, dir, "leaf.pem", ca.PEM(leaf)),
		server:        ca.FixtureFile(t, dir, "server.pem", ca.PEM(signed(t, issuing, served))),
		bundle:        ca.FixtureFile(t, dir, "bundle.pem", ca.PEM(leaf, h.Issuing, h.Root)),
		crl:           ca.FixtureFile(t, dir, "crl.pem", pemList(good)),
		crls:          ca.FixtureFile(t, dir, "crls.pem", slices.Concat(pemList(good), pemList(above))),
		crlRevoked:    ca.FixtureFile(t, dir, "revoked.pem", pemList(bad)),
		crlsRevoked:   ca.FixtureFile(t, dir, "all-revoked.pem", slices.Concat(pemList(bad), pemList(above))),
		crlRevokedDER: ca.FixtureFile(t, dir, "revoked.crl", bad),
	}
}

func issuerOf(t *testing.T, cert *x509.Certificate, key crypto.Signer) *ca.Issuer {
	t.Helper()
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: cert, Signer: key, Publication: ca.FixturePublication()})
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

func signed(t *testing.T, issuer *ca.Issuer, p *ca.Prepared) *x509.Certificate {
	t.Helper()
	cert, err := issuer.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func listAt(t *testing.T, issuer *ca.Issuer, now time.Time, revoked ...ca.Revocation) []byte {
	t.Helper()
	raw, err := issuer.CRL(ca.CRLConfig{Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.AddDate(0, 0, 3), Revoked: revoked})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestOpenSSLAgrees(t *testing.T) {
	openssl := ca.FixtureProgram(t, "openssl")
	for _, algorithm := range []string{"rsa", "ec"} {
		t.Run(algorithm, func(t *testing.T) {
			c := newChain(t, algorithm)
			strict := []string{"verify", "-x509_strict", "-check_ss_sig", "-CAfile", c.root, "-untrusted", c.issuing}
			for _, purpose := range []string{"sslclient", "smimesign"} {
				args := append(strict, "-purpose", purpose, "-crl_check_all", "-CRLfile", c.crls, c.leaf)
				if out, err := ca.FixtureRun(t, openssl, args...); err != nil {
					t.Errorf("%s: %v: %s", purpose, err, out)
				}
			}
			out, err := ca.FixtureRun(t, openssl, append(strict, "-crl_check_all", "-CRLfile", c.crlsRevoked, c.leaf)...)
			if err == nil || !strings.Contains(out, "error 23") {
				t.Errorf("revoked: got %v: %s", err, out)
			}
			out, err = ca.FixtureRun(t, openssl, append(strict, "-purpose", "sslserver", c.leaf)...)
			if err == nil {
				t.Errorf("a user certificate serves TLS: %s", out)
			}
			out, err = ca.FixtureRun(t, openssl, "crl", "-verify", "-CAfile", c.issuing, "-in", c.crl, "-noout")
			if err != nil || !strings.Contains(out, "verify OK") {
				t.Errorf("CRL: %v: %s", err, out)
			}
		})
	}
}

func TestOpenSSLVerifiesTheServer(t *testing.T) {
	openssl := ca.FixtureProgram(t, "openssl")
	c := newChain(t, "rsa")
	for _, test := range []struct{ name, option, value string }{
		{"host", "-verify_hostname", "portal.example.com"},
		{"address", "-verify_ip", "2001:db8::7"},
	} {
		out, err := ca.FixtureRun(t, openssl, "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslserver",
			test.option, test.value, "-CAfile", c.root, "-untrusted", c.issuing, c.server)
		if err != nil {
			t.Errorf("%s: %v: %s", test.name, err, out)
		}
	}
}

func TestOpenSSLReadsTheNames(t *testing.T) {
	openssl := ca.FixtureProgram(t, "openssl")
	c := newChain(t, "rsa")
	out, err := ca.FixtureRun(t, openssl, "x509", "-in", c.leaf, "-noout", "-text")
	if err != nil {
		t.Fatal(err, out)
	}
	s := ca.FixtureSubject()
	for _, want := range []string{
		"Subject: CN = " + s.UPN, "UPN::" + s.UPN, "email:" + s.Mail, s.SID,
		"Microsoft Encrypted File System, E-mail Protection, TLS Web Client Authentication",
		"Digital Signature, Key Encipherment",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl does not show %q", want)
		}
	}
	message := ca.FixtureFile(t, c.dir, "chain.p7b", mustPKCS7(t))
	out, err = ca.FixtureRun(t, openssl, "pkcs7", "-inform", "DER", "-in", message, "-print_certs", "-noout")
	if err != nil || strings.Count(out, "subject=") != 2 {
		t.Errorf("PKCS#7: %v: %s", err, out)
	}
}

func mustPKCS7(t *testing.T) []byte {
	t.Helper()
	h := ca.FixtureHierarchy(t, "rsa")
	message, err := ca.PKCS7(h.Issuing, h.Root)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func TestGnuTLSAgrees(t *testing.T) {
	certtool := ca.FixtureProgram(t, "certtool")
	for _, algorithm := range []string{"rsa", "ec"} {
		t.Run(algorithm, func(t *testing.T) {
			c := newChain(t, algorithm)
			verify := []string{"--verify", "--infile", c.bundle, "--load-ca-certificate", c.root}
			if out, err := ca.FixtureRun(t, certtool, append(verify, "--load-crl", c.crl)...); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			out, err := ca.FixtureRun(t, certtool, append(verify, "--load-crl", c.crlRevoked)...)
			if err == nil || !strings.Contains(out, "revoked") {
				t.Errorf("revoked: got %v: %s", err, out)
			}
			out, err = ca.FixtureRun(t, certtool, "--verify-crl", "--infile", c.crl, "--load-ca-certificate", c.issuing)
			if err != nil || !strings.Contains(out, "Verified") {
				t.Errorf("CRL: %v: %s", err, out)
			}
		})
	}
}

func TestNSSAgrees(t *testing.T) {
	certutil, crlutil := ca.FixtureProgram(t, "certutil"), ca.FixtureProgram(t, "crlutil")
	for _, algorithm := range []string{"rsa", "ec"} {
		t.Run(algorithm, func(t *testing.T) {
			c := newChain(t, algorithm)
			verify := []string{certutil, "-V", "-n", "leaf", "-u", "C", "-e"}
			for _, args := range [][]string{
				{certutil, "-N", "--empty-password"},
				{certutil, "-A", "-n", "root", "-t", "CT,C,", "-i", c.root},
				{certutil, "-A", "-n", "issuing", "-t", ",,", "-i", c.issuing},
				{certutil, "-A", "-n", "leaf", "-t", ",,", "-i", c.leaf},
				verify,
				{crlutil, "-I", "-i", c.crlRevokedDER},
			} {
				if out, err := ca.FixtureRun(t, args[0], append(args[1:], "-d", "sql:"+c.dir)...); err != nil {
					t.Fatalf("%v: %v: %s", args[1:], err, out)
				}
			}
			out, err := ca.FixtureRun(t, verify[0], append(verify[1:], "-d", "sql:"+c.dir)...)
			if err == nil || !strings.Contains(out, "revoked") {
				t.Errorf("revoked: got %v: %s", err, out)
			}
		})
	}
}
