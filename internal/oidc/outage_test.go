package oidc_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"certportal/internal/oidc"
	"certportal/internal/test/daemon"
	"certportal/internal/test/oidcserver"
)

func tlsConfig(roots *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: roots} }

// TestProviderOutOfOrder breaks discovery and keys. Each is an outage, never a sign-in,
// and a later sign-in works.
func TestProviderOutOfOrder(t *testing.T) {
	faults := map[oidcserver.Fault]string{
		oidcserver.Broken: "status 500", oidcserver.Garbage: "reading JSON", oidcserver.Huge: "over the limit",
		oidcserver.Redirects: "status 307", oidcserver.OtherIssuer: "equal to the letter",
		oidcserver.PlainEndpoint: "token_endpoint", oidcserver.NoPKCE: "PKCE", oidcserver.Slow: "exceeded",
	}
	for fault, words := range faults {
		t.Run(string(fault), func(t *testing.T) {
			c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256}, func(c *oidc.Config) {
				if fault == oidcserver.Slow {
					c.Timeout = 200 * time.Millisecond
				}
			})
			c.idp.Misbehave(fault)
			_, err := c.Address(t.Context(), flow("a"))
			if !isOutage(err) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(words)) {
				t.Errorf("got %v, want an outage that tells of %q", err, words)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the operator's line has %d bytes", len(err.Error()))
			}
			if err := c.Check(t.Context()); !isOutage(err) {
				t.Errorf("check: got %v, want an outage", err)
			}
			c.idp.Misbehave()
			if _, err := c.Address(t.Context(), flow("a")); !isOutage(err) {
				t.Errorf("at once: got %v, want the fault remembered", err)
			}
			c.pass(6 * time.Second)
			if _, err := c.signIn(); err != nil {
				t.Errorf("after a moment: %v", err)
			}
		})
	}
}

// TestTokensOutOfOrder breaks the provider between the redirect and the code exchange.
func TestTokensOutOfOrder(t *testing.T) {
	for _, fault := range []oidcserver.Fault{oidcserver.Broken, oidcserver.Garbage, oidcserver.Huge, oidcserver.Redirects, oidcserver.Slow} {
		t.Run(string(fault), func(t *testing.T) {
			c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256}, func(c *oidc.Config) {
				if fault == oidcserver.Slow {
					c.Timeout = time.Second
				}
			})
			answer := c.visit(flow("a"))
			c.idp.Misbehave(fault)
			if _, err := c.Finish(t.Context(), flow("a"), answer); !isOutage(err) || len(err.Error()) > 1000 {
				t.Errorf("got %v, want a short outage", err)
			}
		})
	}
}

func TestKeysOutOfOrder(t *testing.T) {
	for _, fault := range []oidcserver.Fault{oidcserver.NoKeys, oidcserver.SharedKeys} {
		t.Run(string(fault), func(t *testing.T) {
			c := newFixture(t, oidcserver.Config{})
			c.idp.Misbehave(fault)
			if _, err := c.signIn(); !isOutage(err) {
				t.Errorf("got %v, want an outage", err)
			}
			if err := c.Check(t.Context()); !isOutage(err) {
				t.Errorf("check: got %v, want an outage", err)
			}
		})
	}
}

// TestKeyRotation has the provider change its key. The new key is accepted at once, and the
// old key is refused after an hour at most.
func TestKeyRotation(t *testing.T) {
	c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256})
	if _, err := c.signIn(); err != nil {
		t.Fatal(err)
	}
	c.idp.Rotate(t)
	if _, err := c.signIn(); err == nil {
		t.Error("at once: the keys were asked for twice within a moment")
	}
	c.pass(6 * time.Second)
	if _, err := c.signIn(); err != nil {
		t.Errorf("new key: %v", err)
	}
	// A new key under the id of the withdrawn one.
	c.idp.Misbehave(oidcserver.NoKeys)
	c.pass(59 * time.Minute)
	if _, err := c.signIn(); err != nil {
		t.Errorf("within the hour: %v", err)
	}
	c.pass(time.Minute)
	if _, err := c.signIn(); !isOutage(err) {
		t.Errorf("after the hour: got %v, want the key forgotten", err)
	}
}

// TestNobodyThere starts while the provider is down, as after a power failure.
func TestNobodyThere(t *testing.T) {
	address, err := daemon.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256}, func(c *oidc.Config) { c.Issuer = "https://" + address })
	if _, err := c.Address(t.Context(), flow("a")); !isOutage(err) {
		t.Errorf("got %v, want an outage", err)
	}
}

func TestUntrustedProvider(t *testing.T) {
	c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256}, func(c *oidc.Config) { c.Roots = x509.NewCertPool() })
	_, err := c.Address(t.Context(), flow("a"))
	var unknown x509.UnknownAuthorityError
	if !isOutage(err) || !errors.As(err, &unknown) {
		t.Errorf("got %v, want the certificate refused", err)
	}
}

// TestManyAtOnce checks that concurrent callers share one request to a slow provider.
func TestManyAtOnce(t *testing.T) {
	c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256}, func(c *oidc.Config) { c.Timeout = 500 * time.Millisecond })
	c.idp.Misbehave(oidcserver.Slow)
	var wg sync.WaitGroup
	faults := make([]error, 50)
	for i := range faults {
		wg.Go(func() { _, faults[i] = c.Address(t.Context(), flow("a")) })
	}
	wg.Wait()
	for i, err := range faults {
		if !isOutage(err) {
			t.Errorf("asker %d: got %v, want an outage", i, err)
		}
	}
	if got := c.idp.Asked("/.well-known/openid-configuration"); got != 1 {
		t.Errorf("the provider was asked %d times, want once", got)
	}
}

func TestSecret(t *testing.T) {
	tests := []struct {
		name   string
		secret func() (string, error)
		words  string
	}{
		{"file gone", func() (string, error) { return "", os.ErrNotExist }, "reading client secret"},
		{"empty", func() (string, error) { return "", nil }, "reading client secret"},
		{"wrong", func() (string, error) { return "old", nil }, "look at client id and client secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256}, func(c *oidc.Config) { c.ClientSecret = tt.secret })
			if _, err := c.signIn(); !isOutage(err) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v, want an outage that tells of %q", err, tt.words)
			}
			if got := c.idp.Asked("/token"); got > 1 {
				t.Errorf("asked %d times for tokens, want the code shown once", got)
			}
		})
	}
}
