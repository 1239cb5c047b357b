package ca_test

import (
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

func emptyList() ca.CRLConfig {
	return ca.CRLConfig{
		Number:     big.NewInt(41),
		ThisUpdate: ca.FixtureNow(),
		NextUpdate: ca.FixtureNow().AddDate(0, 0, 3),
	}
}

func serial(t testing.TB, text string) ca.Serial {
	t.Helper()
	s, err := ca.ParseSerial(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func listOf(t testing.TB, revoked ...ca.Revocation) ca.CRLConfig {
	t.Helper()
	cfg := emptyList()
	cfg.Revoked = revoked
	return cfg
}

func TestCRLReadsBack(t *testing.T) {
	at := ca.FixtureNow().Add(-time.Hour)
	for _, algorithm := range []string{"rsa", "ec"} {
		t.Run(algorithm, func(t *testing.T) {
			issuer := ca.FixtureIssuer(t, algorithm)
			raw, err := issuer.CRL(listOf(t,
				ca.Revocation{Serial: serial(t, "fe02"), At: at, Reason: 1},
				ca.Revocation{Serial: serial(t, "0102030405060708090a0b0c0d0e0f1011"), At: at},
				ca.Revocation{Serial: serial(t, "7f"), At: at, Reason: 4},
			))
			if err != nil {
				t.Fatal(err)
			}
			list, err := x509.ParseRevocationList(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := list.CheckSignatureFrom(issuer.Certificate()); err != nil {
				t.Error(err)
			}
			if got := list.Number.Int64(); got != 41 {
				t.Errorf("number: got %d, want 41", got)
			}
			checkEntries(t, list, at)
		})
	}
}

func checkEntries(t *testing.T, list *x509.RevocationList, at time.Time) {
	t.Helper()
	want := []struct {
		serial string
		reason int
	}{{"7f", 4}, {"fe02", 1}, {"0102030405060708090a0b0c0d0e0f1011", 0}}
	if len(list.RevokedCertificateEntries) != len(want) {
		t.Fatalf("got %d entries, want %d", len(list.RevokedCertificateEntries), len(want))
	}
	for n, entry := range list.RevokedCertificateEntries {
		got, err := ca.SerialOf(entry.SerialNumber)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != want[n].serial || entry.ReasonCode != want[n].reason || !entry.RevocationTime.Equal(at) {
			t.Errorf("entry %d: got %s reason %d at %s, want %v", n, got, entry.ReasonCode, entry.RevocationTime, want[n])
		}
		// RFC 5280 section 5.3.1: absent rather than unspecified.
		if entry.ReasonCode == 0 && len(entry.Extensions) > 0 {
			t.Errorf("entry %d: reason 0 is written out", n)
		}
	}
}

func TestCRLOfTheRoot(t *testing.T) {
	h := ca.FixtureHierarchy(t, "rsa")
	root, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Root, Signer: h.RootKey})
	if err != nil {
		t.Fatal(err)
	}
	cfg := emptyList()
	cfg.NextUpdate = cfg.ThisUpdate.AddDate(0, 6, 0)
	raw, err := root.CRL(cfg)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(h.Root); err != nil {
		t.Error(err)
	}
}

func TestCRLRefuses(t *testing.T) {
	now := ca.FixtureNow()
	one := ca.Revocation{Serial: serial(t, "01"), At: now}
	for _, test := range []struct {
		name   string
		change func(*ca.CRLConfig)
		reason string
	}{
		{"no number", func(c *ca.CRLConfig) { c.Number = nil }, "number"},
		{"number 0", func(c *ca.CRLConfig) { c.Number = new(big.Int) }, "number"},
		{"number of 21 octets", func(c *ca.CRLConfig) { c.Number = new(big.Int).Lsh(big.NewInt(1), 160) }, "number"},
		{"nextUpdate equal to thisUpdate", func(c *ca.CRLConfig) { c.NextUpdate = c.ThisUpdate }, "nextUpdate"},
		{"serial twice", func(c *ca.CRLConfig) { c.Revoked = []ca.Revocation{one, one} }, "twice"},
		{"no serial", func(c *ca.CRLConfig) { c.Revoked = []ca.Revocation{{At: now}} }, "no serial"},
		{"revoked tomorrow", func(c *ca.CRLConfig) { c.Revoked = []ca.Revocation{{Serial: one.Serial, At: now.AddDate(0, 0, 1)}} }, "more than 10m0s after thisUpdate"},
		{"no time", func(c *ca.CRLConfig) { c.Revoked = []ca.Revocation{{Serial: one.Serial}} }, "in the year 1"},
		{"hold", func(c *ca.CRLConfig) { c.Revoked = []ca.Revocation{{Serial: one.Serial, At: now, Reason: 6}} }, "reason 6"},
		{"unused reason", func(c *ca.CRLConfig) { c.Revoked = []ca.Revocation{{Serial: one.Serial, At: now, Reason: 7}} }, "reason 7"},
		{"release of a hold", func(c *ca.CRLConfig) { c.Revoked = []ca.Revocation{{Serial: one.Serial, At: now, Reason: 8}} }, "reason 8"},
		{"negative reason", func(c *ca.CRLConfig) { c.Revoked = []ca.Revocation{{Serial: one.Serial, At: now, Reason: -1}} }, "reason -1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := emptyList()
			test.change(&cfg)
			raw, err := ca.FixtureIssuer(t, "ec").CRL(cfg)
			if err == nil || raw != nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want it to hold %q", err, test.reason)
			}
		})
	}
}

// Entries beyond those that zlint reads, and lengths of three octets, must be encoded
// correctly too.
func TestCRLWithManyEntries(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	for _, count := range []int{3, 6, 1000, 1001, 5000} {
		cfg := listOf(t, manyRevoked(t, count)...)
		raw, err := issuer.CRL(cfg)
		if err != nil {
			t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := list.CheckSignatureFrom(issuer.Certificate()); err != nil {
			t.Error(err)
		}
		if got := len(list.RevokedCertificateEntries); got != count {
			t.Errorf("got %d entries, want %d", got, count)
		}
	}
}

// manyRevoked gives revocations in the order of a store.
func manyRevoked(t testing.TB, count int) []ca.Revocation {
	t.Helper()
	random := ca.FixtureRand("revoked")
	revoked := make([]ca.Revocation, count)
	for n := range revoked {
		s, err := ca.NewSerial(random)
		if err != nil {
			t.Fatal(err)
		}
		revoked[n] = ca.Revocation{Serial: s, At: ca.FixtureNow().Add(-time.Duration(n) * time.Second), Reason: n % 6}
	}
	return revoked
}

func TestCRLAfter2049(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	late := time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)
	cfg := ca.CRLConfig{Number: big.NewInt(1), ThisUpdate: late, NextUpdate: late.AddDate(0, 0, 3),
		Revoked: []ca.Revocation{{Serial: serial(t, "05"), At: late, Reason: 1}}}
	raw, err := issuer.CRL(cfg)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := list.RevokedCertificateEntries[0].RevocationTime; !got.Equal(late) || !list.ThisUpdate.Equal(late) {
		t.Errorf("got %s and %s, want %s", got, list.ThisUpdate, late)
	}
}

func pemList(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: raw})
}
