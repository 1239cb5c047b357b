package ca_test

import (
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

// The next issuing CA has the constraints of the first, its own key and name, and issues
// certificates that are not shortened by the end of the first.
func TestCertifyNext(t *testing.T) {
	for _, algorithm := range []string{"rsa", "ec"} {
		t.Run(algorithm, func(t *testing.T) {
			h := ca.FixtureHierarchy(t, algorithm)
			key, now := ca.FixtureKey(t, "server-ec"), h.Issuing.NotAfter.AddDate(0, -6, 0)
			cert, err := ca.CertifyNext(nextConfig(t, h), now)
			if err != nil {
				t.Fatal(err)
			}
			if err := cert.CheckSignatureFrom(h.Root); err != nil {
				t.Error(err)
			}
			if got, want := cert.Subject.String(), "CN=Example Issuing CA 2,O=Example"; got != want {
				t.Errorf("subject: got %s, want %s", got, want)
			}
			if !cert.IsCA || cert.MaxPathLen != 0 || !cert.MaxPathLenZero || len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) != 7 {
				t.Errorf("constraints: got %v, pathLen %d, usages %v %v", cert.IsCA, cert.MaxPathLen, cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
			}
			issuer, err := ca.NewIssuer(ca.IssuerConfig{Name: "issuing-2", Certificate: cert, Signer: key, Publication: ca.FixturePublication()})
			if err != nil {
				t.Fatal(err)
			}
			prepared, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), ca.FixtureKey(t, "user-rsa").Public(), now)
			if err != nil {
				t.Fatal(err)
			}
			user, err := issuer.Sign(prepared)
			if err != nil {
				t.Fatal(err)
			}
			if user.NotAfter.Before(h.Issuing.NotAfter) {
				t.Errorf("certificate ends on %s, with the first issuing CA", user.NotAfter)
			}
		})
	}
}

func nextConfig(t *testing.T, h *ca.Hierarchy) ca.NextConfig {
	t.Helper()
	name, err := ca.ParseCAName("CN=Example Issuing CA 2,O=Example")
	if err != nil {
		t.Fatal(err)
	}
	request, err := ca.NewRequest(ca.FixtureKey(t, "server-ec"), ca.RequestConfig{Subject: name})
	if err != nil {
		t.Fatal(err)
	}
	return ca.NextConfig{Root: h.Root, RootKey: h.RootKey, Request: request}
}

func TestCertifyNextRefuses(t *testing.T) {
	h := ca.FixtureHierarchy(t, "ec")
	for _, test := range []struct {
		name   string
		now    time.Time
		change func(*ca.NextConfig)
		want   string
	}{
		{"longer than the root", ca.FixtureNow(), func(c *ca.NextConfig) { c.Validity = 30 * 365 * 24 * time.Hour }, "are left"},
		{"after the root's end", h.Root.NotAfter.Add(time.Hour), func(*ca.NextConfig) {}, "are left"},
		{"another key than the root's", ca.FixtureNow(), func(c *ca.NextConfig) { c.RootKey = ca.FixtureKey(t, "user-ec") }, "does not belong"},
		{"no request", ca.FixtureNow(), func(c *ca.NextConfig) { c.Request = nil }, "missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := nextConfig(t, h)
			test.change(&cfg)
			if _, err := ca.CertifyNext(cfg, test.now); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to hold %q", err, test.want)
			}
		})
	}
}
