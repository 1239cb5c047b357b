package ca_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

func TestCreateHierarchy(t *testing.T) {
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Müller GmbH", RootKind: ca.ECP384, IssuingKind: ca.ECP256}, ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := h.Root.Subject.CommonName, "Müller GmbH Root CA"; got != want {
		t.Errorf("root: got %q, want %q", got, want)
	}
	if got, want := h.Issuing.Subject.CommonName, "Müller GmbH Issuing CA"; got != want {
		t.Errorf("issuing: got %q, want %q", got, want)
	}
	if h.Root.MaxPathLen != -1 || h.Issuing.MaxPathLen != 0 || !h.Issuing.MaxPathLenZero {
		t.Errorf("got path lengths %d and %d", h.Root.MaxPathLen, h.Issuing.MaxPathLen)
	}
	if h.Issuing.NotAfter.After(h.Root.NotAfter) {
		t.Error("issuing CA outlives the root")
	}
	if len(h.Root.ExtKeyUsage) > 0 || slices.Contains(h.Issuing.ExtKeyUsage, x509.ExtKeyUsageAny) ||
		slices.Contains(h.Issuing.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		t.Errorf("got usages %v and %v", h.Root.ExtKeyUsage, h.Issuing.ExtKeyUsage)
	}
	roots := x509.NewCertPool()
	roots.AddCert(h.Root)
	_, err = h.Issuing.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: ca.FixtureNow(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Error(err)
	}
	// The first certificate is within the new CA's validity.
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey, Publication: ca.FixturePublication()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.Sign(prepared(t, issuer)); err != nil {
		t.Error(err)
	}
}

func TestCreateHierarchyRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		cfg    ca.HierarchyConfig
		reason string
	}{
		{"no organization", ca.HierarchyConfig{}, "organization"},
		{"long organization", ca.HierarchyConfig{Organization: strings.Repeat("x", 65)}, "organization"},
		{"long common name", ca.HierarchyConfig{Organization: strings.Repeat("x", 60)}, "names"},
		{"equal names", ca.HierarchyConfig{Organization: "E", RootName: "CA", IssuingName: "CA"}, "equal"},
		{"issuing CA outlives root", ca.HierarchyConfig{Organization: "E", RootValidity: time.Hour * 24, IssuingValidity: time.Hour * 48}, "validity"},
		{"negative validity", ca.HierarchyConfig{Organization: "E", RootValidity: -time.Hour}, "validity"},
		{"CRL over https", ca.HierarchyConfig{Organization: "E", CRLURL: "https://a.example/"}, "http://"},
		{"unknown kind", ca.HierarchyConfig{Organization: "E", RootKind: "dsa"}, "unknown kind"},
		{"name with blank", ca.HierarchyConfig{Organization: "E", RootName: " Root", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, "leading"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ca.CreateHierarchy(test.cfg, ca.FixtureNow()); err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want it to hold %q", err, test.reason)
			}
		})
	}
}
