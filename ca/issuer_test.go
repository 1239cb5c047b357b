package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
)

func TestPrepareThenSign(t *testing.T) {
	for _, issuing := range []string{"rsa", "ec"} {
		for _, user := range []string{"rsa", "ec"} {
			t.Run(issuing+" issues "+user, func(t *testing.T) {
				issuer := ca.FixtureIssuer(t, issuing)
				pub := ca.FixtureKey(t, "user-"+user).Public()
				p, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), pub, ca.FixtureNow())
				if err != nil {
					t.Fatal(err)
				}
				cert, err := issuer.Sign(p)
				if err != nil {
					t.Fatal(err)
				}
				checkSigned(t, cert, p, issuer)
			})
		}
	}
}

func checkSigned(t *testing.T, cert *x509.Certificate, p *ca.Prepared, issuer *ca.Issuer) {
	t.Helper()
	if !bytes.Equal(cert.RawTBSCertificate, p.TBS()) {
		t.Error("signed bytes differ from prepared bytes")
	}
	if err := cert.CheckSignatureFrom(issuer.Certificate()); err != nil {
		t.Errorf("signature: %v", err)
	}
	if got, want := p.Serial().Big(), cert.SerialNumber; got.Cmp(want) != 0 {
		t.Errorf("serial: got %x, want %x", got, want)
	}
	if got, want := p.PublicKeyHash(), sha256.Sum256(cert.RawSubjectPublicKeyInfo); got != want {
		t.Errorf("public key hash: got %x, want %x", got, want)
	}
	if got, want := p.NotBefore(), ca.FixtureNow().Add(-5*time.Minute); !got.Equal(want) || !cert.NotBefore.Equal(want) {
		t.Errorf("notBefore: got %s, want %s", got, want)
	}
	// The validity is one second too long if notAfter is not one second earlier.
	if got, want := p.NotAfter(), p.NotBefore().Add(365*24*time.Hour-time.Second); !got.Equal(want) || !cert.NotAfter.Equal(want) {
		t.Errorf("notAfter: got %s, want %s", got, want)
	}
}

func TestSignRefusesSecondRedemption(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	p := prepared(t, issuer)
	const callers = 16
	var group sync.WaitGroup
	var lock sync.Mutex
	signed, redeemed := 0, 0
	for range callers {
		group.Go(func() {
			_, err := issuer.Sign(p)
			lock.Lock()
			defer lock.Unlock()
			if err == nil {
				signed++
			}
			if errors.Is(err, ca.ErrRedeemed) {
				redeemed++
			}
		})
	}
	group.Wait()
	if signed != 1 || redeemed != callers-1 {
		t.Errorf("got %d signed and %d refused, want 1 and %d", signed, redeemed, callers-1)
	}
}

func TestSignRefusesOtherIssuer(t *testing.T) {
	issuer, twin := ca.FixtureIssuer(t, "ec"), ca.FixtureIssuer(t, "ec")
	p := prepared(t, issuer)
	if _, err := twin.Sign(p); !errors.Is(err, ca.ErrOtherIssuer) {
		t.Errorf("got %v, want %v", err, ca.ErrOtherIssuer)
	}
	if _, err := issuer.Sign(p); err != nil {
		t.Errorf("own issuer after another one: %v", err)
	}
}

// brokenSigner is a key in a device that returns wrong signatures.
type brokenSigner struct {
	crypto.Signer
	flip bool
}

func (b brokenSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if !b.flip {
		return nil, errors.New("device is gone")
	}
	signature, err := b.Signer.Sign(random, digest, opts)
	signature[len(signature)-1] ^= 1
	return signature, err
}

func TestSignMistrustsTheKey(t *testing.T) {
	for _, test := range []struct {
		name string
		flip bool
	}{
		{"device is gone", false},
		{"device computes wrongly", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := ca.FixtureHierarchy(t, "rsa")
			issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: brokenSigner{h.IssuingKey, test.flip}, Publication: ca.FixturePublication()})
			if err != nil {
				t.Fatal(err)
			}
			p := prepared(t, issuer)
			if cert, err := issuer.Sign(p); err == nil || cert != nil {
				t.Errorf("got certificate %v and error %v", cert != nil, err)
			}
			if _, err := issuer.Sign(p); !errors.Is(err, ca.ErrRedeemed) {
				t.Errorf("second try: got %v, want %v", err, ca.ErrRedeemed)
			}
			if list, err := issuer.CRL(emptyList()); err == nil || list != nil {
				t.Errorf("got CRL %v and error %v", list != nil, err)
			}
		})
	}
}

func prepared(t testing.TB, issuer *ca.Issuer) *ca.Prepared {
	t.Helper()
	p, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestA1_WeakKeysAreRefused(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sound := ca.FixtureKey(t, "user-rsa").Public().(*rsa.PublicKey)
	for _, test := range []struct {
		name   string
		pub    crypto.PublicKey
		reason string
	}{
		{"rsa-1024", small.Public(), "1024 bits"},
		{"rsa exponent 3", &rsa.PublicKey{N: sound.N, E: 3}, "exponent 3"},
		{"rsa even modulus", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}, "small factor"},
		{"rsa without modulus", &rsa.PublicKey{E: 65537}, "modulus is missing"},
		{"rsa roca", ca.FixturePublicKey(t, "roca"), "ROCA"},
		{"rsa fermat", ca.FixturePublicKey(t, "fermat"), "e_rsa_fermat_factorization"},
		{"p-224", p224.Public(), "P-224"},
		{"p-521", p521.Public(), "P-521"},
		{"ed25519", edwards, "not RSA or ECDSA"},
		{"nothing", nil, "not RSA or ECDSA"},
		{"a private key", ca.FixtureKey(t, "user-ec"), "not RSA or ECDSA"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), test.pub, ca.FixtureNow())
			if err == nil || p != nil {
				t.Fatalf("got %v, want a refusal", p)
			}
			if !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %q, want it to hold %q", err, test.reason)
			}
			if _, err := issuer.PrepareOwn(ca.FixtureServer(), test.pub, ca.FixtureNow()); err == nil {
				t.Error("server certificate: got none, want a refusal")
			}
		})
	}
}

func TestA1_PointOffTheCurveIsRefused(t *testing.T) {
	good := ca.FixtureKey(t, "user-ec").Public().(*ecdsa.PublicKey)
	raw, err := good.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	x, y := new(big.Int).SetBytes(raw[1:33]), new(big.Int).SetBytes(raw[33:])
	//lint:ignore SA1019 there is no other way to make such a key
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}
	var refused *ca.KeyError
	if _, err := ca.KindOf(off); !errors.As(err, &refused) {
		t.Errorf("got %v, want a key error", err)
	}
}

func TestPrepareRefusesValidityBeyondIssuer(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	end := issuer.Certificate().NotAfter
	pub := ca.FixtureKey(t, "user-ec").Public()
	for _, test := range []struct {
		name string
		now  time.Time
		want bool
	}{
		{"last possible second", end.Add(5*time.Minute - 365*24*time.Hour + time.Second), true},
		{"one second later", end.Add(5*time.Minute - 365*24*time.Hour + 2*time.Second), false},
		{"after the issuer's end", end.Add(time.Hour), false},
		{"at the issuer's start", issuer.Certificate().NotBefore, true},
		{"before the issuer's start", issuer.Certificate().NotBefore.Add(-time.Second), false},
		{"clock 400 days behind", ca.FixtureNow().AddDate(0, 0, -400), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), pub, test.now)
			if err == nil && p.NotBefore().Before(issuer.Certificate().NotBefore) {
				t.Errorf("begins at %s, before the issuer", p.NotBefore())
			}
			var refused *ca.ValidityError
			if got := !errors.As(err, &refused); got != test.want {
				t.Errorf("got %v", err)
			}
			if test.want && err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	h := ca.FixtureHierarchy(t, "ec")
	leafIssuer := ca.FixtureIssuer(t, "ec")
	leaf, err := leafIssuer.Sign(prepared(t, leafIssuer))
	if err != nil {
		t.Fatal(err)
	}
	without := func(change func(*x509.Certificate)) *x509.Certificate {
		cert := *h.Issuing
		change(&cert)
		return &cert
	}
	for _, test := range []struct {
		name   string
		cfg    ca.IssuerConfig
		reason string
	}{
		{"no certificate", ca.IssuerConfig{Signer: h.IssuingKey}, "missing"},
		{"no key", ca.IssuerConfig{Certificate: h.Issuing}, "missing"},
		{"key of another", ca.IssuerConfig{Certificate: h.Issuing, Signer: h.RootKey}, "does not belong"},
		{"leaf", ca.IssuerConfig{Certificate: leaf, Signer: ca.FixtureKey(t, "user-ec")}, "not that of a CA"},
		{"no certificate signing", ca.IssuerConfig{Signer: h.IssuingKey, Certificate: without(func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageCRLSign
		})}, "keyCertSign"},
		{"no CRL signing", ca.IssuerConfig{Signer: h.IssuingKey, Certificate: without(func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageCertSign
		})}, "cRLSign"},
		{"no key identifier", ca.IssuerConfig{Signer: h.IssuingKey, Certificate: without(func(c *x509.Certificate) {
			c.SubjectKeyId = nil
		})}, "subject key identifier"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ca.NewIssuer(test.cfg)
			if err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want it to hold %q", err, test.reason)
			}
		})
	}
}

func TestPrepareIsConcurrent(t *testing.T) {
	h := ca.FixtureHierarchy(t, "ec")
	// The fixture's source of serials is not safe for concurrent use.
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey, Publication: ca.FixturePublication()})
	if err != nil {
		t.Fatal(err)
	}
	profile, pub := ca.FixtureProfile(t), ca.FixtureKey(t, "user-ec").Public()
	serials := make(chan ca.Serial, 64)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 8 {
				p, err := issuer.Prepare(profile, ca.FixtureSubject(), pub, ca.FixtureNow())
				if err != nil {
					t.Error(err)
					return
				}
				serials <- p.Serial()
			}
		})
	}
	group.Wait()
	close(serials)
	seen := make(map[ca.Serial]bool)
	for s := range serials {
		if seen[s] {
			t.Errorf("serial %s twice", s)
		}
		seen[s] = true
	}
}
