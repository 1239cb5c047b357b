package ca_test

import (
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

const deltaAddress = "http://pki.example.com/crl/issuing-delta.crl"

// announced is a complete list with the time of the next one and the address of its
// delta list.
func announced(c *ca.CRLConfig) {
	c.NextPublish = c.ThisUpdate.Add(time.Hour)
	c.Freshest = []string{deltaAddress}
}

// adding is a delta list with the base 40.
func adding(c *ca.CRLConfig) {
	c.NextPublish = c.ThisUpdate.Add(time.Hour)
	c.Base = big.NewInt(40)
}

func TestCRLExtensionsRefuse(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*ca.CRLConfig)
		reason string
	}{
		{"next publication after the end", func(c *ca.CRLConfig) { c.NextPublish = c.NextUpdate.Add(time.Second) }, "next publication"},
		{"next publication before the list", func(c *ca.CRLConfig) { c.NextPublish = c.ThisUpdate.Add(-time.Second) }, "next publication"},
		{"base not below", func(c *ca.CRLConfig) { c.Base = big.NewInt(41) }, "no lower number"},
		{"base 0", func(c *ca.CRLConfig) { c.Base = new(big.Int) }, "no lower number"},
		{"delta of a delta list", func(c *ca.CRLConfig) { adding(c); announced(c) }, "5.2.6"},
		{"address over https", func(c *ca.CRLConfig) { c.Freshest = []string{"https://pki.example.com/x.crl"} }, "http://"},
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

// In a delta list only the delta CRL indicator is critical (RFC 5280 section 5.2.4), so
// that no client reads it as a complete one.
func TestCRLExtensionsAreCriticalWhereTheyMust(t *testing.T) {
	for name, want := range map[string]map[string]bool{
		"complete": {"2.5.29.35": false, "2.5.29.20": false, "2.5.29.46": false, "1.3.6.1.4.1.311.21.4": false},
		"delta":    {"2.5.29.35": false, "2.5.29.20": false, "2.5.29.27": true, "1.3.6.1.4.1.311.21.4": false},
	} {
		cfg := emptyList()
		map[string]func(*ca.CRLConfig){"complete": announced, "delta": adding}[name](&cfg)
		raw, err := ca.FixtureIssuer(t, "ec").CRL(cfg)
		if err != nil {
			t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(raw)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, e := range list.Extensions {
			got[e.Id.String()] = e.Critical
		}
		if len(got) != len(want) {
			t.Errorf("%s: got extensions %v, want %v", name, got, want)
		}
		for id, critical := range want {
			if is, ok := got[id]; !ok || is != critical {
				t.Errorf("%s: extension %s: there %v, critical %v, want critical %v", name, id, ok, is, critical)
			}
		}
	}
}

func TestReadCRL(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "rsa")
	cfg := listOf(t, manyRevoked(t, 2000)...)
	adding(&cfg)
	raw, err := issuer.CRL(cfg)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := ca.ReadCRL(raw, issuer.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	if crl.Number.Big().Int64() != 41 || crl.Base.Big().Int64() != 40 || !crl.ThisUpdate.Equal(cfg.ThisUpdate) ||
		!crl.NextUpdate.Equal(cfg.NextUpdate) || !crl.NextPublish.Equal(cfg.NextPublish) {
		t.Errorf("got %+v, want what was signed", crl)
	}
	want := map[ca.Serial]ca.Revocation{}
	for _, r := range cfg.Revoked {
		want[r.Serial] = r
	}
	for r, err := range crl.Revoked() {
		if w := want[r.Serial]; err != nil || r.Reason != w.Reason || !r.At.Equal(w.At.Truncate(time.Second)) {
			t.Fatalf("got %v, %v, want %v", r, err, w)
		}
		delete(want, r.Serial)
	}
	if len(want) != 0 {
		t.Errorf("%d entries are missing", len(want))
	}
}

// A list that is truncated, changed or signed by another CA is refused.
func TestReadCRLRefuses(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	raw, err := issuer.CRL(listOf(t, manyRevoked(t, 3)...))
	if err != nil {
		t.Fatal(err)
	}
	for size := range raw {
		if _, err := ca.ReadCRL(raw[:size], issuer.Certificate()); err == nil {
			t.Errorf("the first %d of %d octets count as a list", size, len(raw))
		}
	}
	for at := range raw {
		changed := append([]byte(nil), raw...)
		changed[at] ^= 1
		if _, err := ca.ReadCRL(changed, issuer.Certificate()); err == nil {
			t.Errorf("a list with another octet %d counts", at)
		}
	}
	if _, err := ca.ReadCRL(raw, ca.FixtureHierarchy(t, "ec").Root); err == nil {
		t.Error("a list counts that another CA signed")
	}
	if _, err := ca.ReadCRL(raw, ca.FixtureIssuer(t, "rsa").Certificate()); err == nil {
		t.Error("a list counts that is signed with another algorithm")
	}
}

// OpenSSL combines a complete list with its delta list: an entry in the delta list is
// revoked, and without the delta list it is not.
func TestDeltaListWithOpenSSL(t *testing.T) {
	openssl := ca.FixtureProgram(t, "openssl")
	h := ca.FixtureHierarchyAt(t, "ec", time.Now())
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey, Publication: ca.FixturePublication(), Rand: ca.FixtureRand("delta")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), ca.FixtureKey(t, "user-ec").Public(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := issuer.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := ca.SerialOf(leaf.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(-time.Minute)
	complete := ca.CRLConfig{Number: big.NewInt(40), ThisUpdate: now, NextUpdate: now.Add(72 * time.Hour)}
	announced(&complete)
	delta := ca.CRLConfig{Number: big.NewInt(41), ThisUpdate: now, NextUpdate: now.Add(4 * time.Hour),
		Revoked: []ca.Revocation{{Serial: serial, At: now, Reason: 1}}}
	adding(&delta)
	dir := t.TempDir()
	files := map[string]string{
		"root": ca.FixtureFile(t, dir, "root.pem", ca.PEM(h.Root)), "issuing": ca.FixtureFile(t, dir, "issuing.pem", ca.PEM(h.Issuing)),
		"leaf": ca.FixtureFile(t, dir, "leaf.pem", ca.PEM(leaf)),
	}
	for name, cfg := range map[string]ca.CRLConfig{"complete": complete, "delta": delta} {
		raw, err := issuer.CRL(cfg)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = ca.FixtureFile(t, dir, name+".pem", pemList(raw))
		out, err := ca.FixtureRun(t, openssl, "crl", "-verify", "-CAfile", files["issuing"], "-in", files[name], "-noout", "-text")
		if err != nil || !strings.Contains(out, "verify OK") {
			t.Errorf("%s list: %v: %s", name, err, out)
		}
		for want, in := range map[string]string{"X509v3 Freshest CRL": "complete", "X509v3 Delta CRL Indicator: critical": "delta"} {
			if strings.Contains(out, want) != (in == name) {
				t.Errorf("%s list: %q there: %v\n%s", name, want, in != name, out)
			}
		}
	}
	verify := []string{"verify", "-CAfile", files["root"], "-untrusted", files["issuing"], "-crl_check", "-CRLfile", files["complete"]}
	if out, err := ca.FixtureRun(t, openssl, append(verify, files["leaf"])...); err != nil {
		t.Errorf("by the complete list alone: %v: %s", err, out)
	}
	out, err := ca.FixtureRun(t, openssl, append(verify, "-extended_crl", "-use_deltas", "-CRLfile", files["delta"], files["leaf"])...)
	if err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("with the delta list: %v: %s, want it revoked", err, out)
	}
}
