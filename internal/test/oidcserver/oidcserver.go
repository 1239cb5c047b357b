// Package oidcserver is an OpenID Connect provider in the test process, over TLS on its own
// port: discovery, keys, authorization with PKCE, and signed tokens.
//
// [New] starts a provider. Every authorization request succeeds at once for the person set
// by [Provider.SignIn]. The provider validates requests strictly, and [Provider.Misbehave]
// makes it violate the protocol by one or more [Fault]s.
//
// It follows OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636 (PKCE) and RFC 9207
// (issuer in the response).
package oidcserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The registration of the portal at the provider.
const (
	ClientID     = "certportal"
	ClientSecret = "a secret: with & and +" // needs the escaping of RFC 6749 section 2.3.1
)

// Config configures a Provider. All fields are optional.
type Config struct {
	Redirect  string                  // the one redirect address; see Register
	Algorithm jose.SignatureAlgorithm // RS256, PS256 or ES256; default RS256
	PostOnly  bool                    // takes the secret in the form only, as "client_secret_post"
	Public    bool                    // takes no secret at all
	Now       func() time.Time        // default time.Now
}

// Provider is a running provider. It is safe for concurrent use.
type Provider struct {
	c      Config
	server *httptest.Server
	key    any // *rsa.PrivateKey or *ecdsa.PrivateKey
	other  any // a key of the same kind that is not published
	stop   chan struct{}

	mu       sync.Mutex
	redirect string
	claims   map[string]any
	faults   []Fault
	keyID    string
	codes    map[string]*grant
	asked    map[string]int // requests by path
}

// grant is the authorization behind a code.
type grant struct {
	nonce, challenge string
	fresh            bool // the person signs in anew, and not by an old session
	used             bool
}

// New starts a provider that stops with the test.
func New(t testing.TB, c Config) *Provider {
	t.Helper()
	if c.Algorithm == "" {
		c.Algorithm = jose.RS256
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Provider{
		c: c, redirect: c.Redirect, claims: map[string]any{}, keyID: "key-1",
		codes: map[string]*grant{}, asked: map[string]int{}, stop: make(chan struct{}),
	}
	for _, key := range []*any{&p.key, &p.other} {
		var err error
		if *key, err = newKey(c.Algorithm); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.server = httptest.NewTLSServer(p.disturbed(mux))
	t.Cleanup(func() {
		close(p.stop)
		p.server.Close()
	})
	return p
}

func newKey(a jose.SignatureAlgorithm) (any, error) {
	if a == jose.ES256 {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

// Issuer returns the provider's issuer URL.
func (p *Provider) Issuer() string { return p.server.URL }

// Roots returns the CA of the provider's TLS certificate.
func (p *Provider) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.server.Certificate())
	return pool
}

// PEM returns the certificate of Roots in PEM.
func (p *Provider) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// Register sets the redirect URL, for a portal that starts later.
func (p *Provider) Register(redirect string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.redirect = redirect
}

// SignIn sets the person who signs in, by the additional claims of the ID token.
func (p *Provider) SignIn(claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = maps.Clone(claims)
}

// Misbehave replaces the active faults; without arguments the provider is correct again.
func (p *Provider) Misbehave(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
}

// Rotate replaces the signing key by a new one with a new id.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	key, err := newKey(p.c.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.keyID = key, "key-2"
}

// Asked returns the number of requests for a path, such as "/token".
func (p *Provider) Asked(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

func (p *Provider) does(f Fault) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.faults, f)
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the asker left
}
