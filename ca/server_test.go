package ca_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

func TestServerCertificateServes(t *testing.T) {
	h := ca.FixtureHierarchy(t, "rsa")
	cert := server(t, "rsa", "server-ec")
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(h.Root)
	between.AddCert(h.Issuing)
	for _, name := range []string{"portal.example.com", "localhost", "192.0.2.7", "2001:db8::7"} {
		_, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between, CurrentTime: ca.FixtureNow()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// It must not authenticate a person.
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: ca.FixtureNow(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil {
		t.Error("the server certificate verifies for client authentication")
	}
}

func TestPrepareServerRefuses(t *testing.T) {
	issuer, pub := ca.FixtureIssuer(t, "ec"), ca.FixtureKey(t, "server-ec").Public()
	for _, test := range []struct {
		name   string
		change func(*ca.ServerConfig)
		field  bool
	}{
		{"no name", func(c *ca.ServerConfig) { c.Names = nil }, true},
		{"empty name", func(c *ca.ServerConfig) { c.Names = []string{""} }, true},
		{"wildcard", func(c *ca.ServerConfig) { c.Names = []string{"*.example.com"} }, true},
		{"upper case", func(c *ca.ServerConfig) { c.Names = []string{"Portal.example.com"} }, true},
		{"umlaut", func(c *ca.ServerConfig) { c.Names = []string{"müller.example"} }, true},
		{"underscore", func(c *ca.ServerConfig) { c.Names = []string{"my_portal.example.com"} }, true},
		{"dot at the end", func(c *ca.ServerConfig) { c.Names = []string{"portal.example.com."} }, true},
		{"hyphen in front", func(c *ca.ServerConfig) { c.Names = []string{"-portal.example.com"} }, true},
		{"65 characters", func(c *ca.ServerConfig) { c.Names = []string{strings.Repeat("a.", 32) + "b"} }, true},
		{"name twice", func(c *ca.ServerConfig) { c.Names = []string{"localhost", "localhost"} }, true},
		{"address with zone", func(c *ca.ServerConfig) { c.Names = []string{"fe80::1%eth0"} }, true},
		{"mail address", func(c *ca.ServerConfig) { c.Names = []string{"alice@example.com"} }, true},
		{"three years", func(c *ca.ServerConfig) { c.Validity = 1000 * 24 * time.Hour }, false},
		{"beyond the issuer", func(c *ca.ServerConfig) { c.Backdate = 3 * time.Hour }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := ca.FixtureServer()
			test.change(&cfg)
			_, err := issuer.PrepareOwn(cfg, pub, ca.FixtureNow())
			var refused *ca.SubjectError
			if err == nil || errors.As(err, &refused) != test.field {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("single word", func(t *testing.T) {
		cfg := ca.FixtureServer()
		cfg.Names = []string{"portal"}
		if _, err := issuer.PrepareOwn(cfg, pub, ca.FixtureNow()); err != nil {
			t.Error(err)
		}
	})
	t.Run("address alone", func(t *testing.T) {
		cfg := ca.FixtureServer()
		cfg.Names = []string{"127.0.0.1"}
		if _, err := issuer.PrepareOwn(cfg, pub, ca.FixtureNow()); err != nil {
			t.Error(err)
		}
	})
}
