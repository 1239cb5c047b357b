package ca_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"certportal/ca"
)

var update = flag.Bool("update", false, "rewrite testdata/golden")

// Golden certificates show in a diff how a change of code changes what is signed.
// Keys, serials and clock are fixed. Signatures are not, because ECDSA is
// randomized: the tests compare the TBSCertificate and verify the signature.
func TestGoldenCertificates(t *testing.T) {
	rsa, ec := ca.FixtureHierarchy(t, "rsa"), ca.FixtureHierarchy(t, "ec")
	for _, test := range []struct {
		name   string
		cert   *x509.Certificate
		parent *x509.Certificate
	}{
		{"root", rsa.Root, rsa.Root},
		{"issuing", rsa.Issuing, rsa.Root},
		{"root-ec", ec.Root, ec.Root},
		{"issuing-ec", ec.Issuing, ec.Root},
		{"user-rsa", user(t, "rsa", "user-rsa", ca.FixtureProfileConfig(), ca.FixtureSubject()), rsa.Issuing},
		{"user-ec", user(t, "ec", "user-ec", ca.FixtureProfileConfig(), ca.FixtureSubject()), ec.Issuing},
		{"user-without-mail", user(t, "rsa", "user-rsa", ca.FixtureProfileConfig(), without("mail")), rsa.Issuing},
		{"user-without-sid", user(t, "rsa", "user-rsa", ca.FixtureProfileConfig(), without("sid")), rsa.Issuing},
		{"user-client-auth-only", user(t, "rsa", "user-rsa", clientAuthOnly(), ca.FixtureSubject()), rsa.Issuing},
		{"server", server(t, "rsa", "server-ec"), rsa.Issuing},
		{"responder", responder(t, "rsa"), rsa.Issuing},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.cert.CheckSignatureFrom(test.parent); err != nil {
				t.Errorf("signature: %v", err)
			}
			want := golden(t, test.name+".pem", "CERTIFICATE", test.cert.Raw)
			cert, err := x509.ParseCertificate(want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(test.cert.RawTBSCertificate, cert.RawTBSCertificate) {
				t.Errorf("got %x, want %x", test.cert.RawTBSCertificate, cert.RawTBSCertificate)
			}
		})
	}
}

func TestGoldenLists(t *testing.T) {
	at := ca.FixtureNow().Add(-time.Hour)
	issuer := ca.FixtureIssuer(t, "rsa")
	for _, test := range []struct {
		name    string
		revoked []ca.Revocation
		change  func(*ca.CRLConfig)
	}{
		{"crl-empty", nil, func(*ca.CRLConfig) {}},
		{"crl-two", []ca.Revocation{
			{Serial: serial(t, "fe02"), At: at, Reason: 1},
			{Serial: serial(t, "4102030405060708090a0b0c0d0e0f1011"), At: at},
		}, func(*ca.CRLConfig) {}},
		{"crl-next-publish-and-freshest", nil, announced},
		{"crl-delta", []ca.Revocation{{Serial: serial(t, "fe02"), At: at, Reason: 1}}, adding},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := listOf(t, test.revoked...)
			test.change(&cfg)
			raw, err := issuer.CRL(cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x509.ParseRevocationList(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.CheckSignatureFrom(issuer.Certificate()); err != nil {
				t.Errorf("signature: %v", err)
			}
			want, err := x509.ParseRevocationList(golden(t, test.name+".pem", "X509 CRL", raw))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.RawTBSRevocationList, want.RawTBSRevocationList) {
				t.Errorf("got %x, want %x", got.RawTBSRevocationList, want.RawTBSRevocationList)
			}
		})
	}
}

// golden reads a golden file, after rewriting it if requested.
func golden(t *testing.T, name, label string, raw []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: label, Bytes: raw}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	if block == nil || block.Type != label {
		t.Fatalf("%s holds no %s", path, label)
	}
	return block.Bytes
}

func user(t testing.TB, issuing, key string, cfg ca.ProfileConfig, s ca.Subject) *x509.Certificate {
	t.Helper()
	profile, err := ca.NewProfile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	issuer := ca.FixtureIssuer(t, issuing)
	p, err := issuer.Prepare(profile, s, ca.FixtureKey(t, key).Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issuer.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func server(t testing.TB, issuing, key string) *x509.Certificate {
	t.Helper()
	issuer := ca.FixtureIssuer(t, issuing)
	p, err := issuer.PrepareOwn(ca.FixtureServer(), ca.FixtureKey(t, key).Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issuer.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func without(field string) ca.Subject {
	s := ca.FixtureSubject()
	if field == "mail" {
		s.Mail = ""
		return s
	}
	s.SID = ""
	return s
}

func clientAuthOnly() ca.ProfileConfig {
	cfg := ca.FixtureProfileConfig()
	cfg.ExtKeyUsages = []string{"clientAuth"}
	return cfg
}
