// Package openid lets people sign in at the company's identity provider: the
// authorization code flow of OpenID Connect with PKCE, as Entra ID, AD FS and
// Keycloak speak it.
//
// It tells which account somebody has signed in with, by SID or user principal
// name, and nothing else. Whether that person exists, may sign in, and what
// stands in their certificate, the directory says. Mail addresses and display
// names are never read: many providers let people choose theirs.
//
// It refuses a provider without TLS, redirects on the way to it, answers over a
// limit, an ID token that is not signed by a key of the provider with RS256,
// PS256 or ES256, and one made for another client, another sign-in or another
// time. It keeps nothing of a sign-in; the caller holds the Flow.
//
// The package follows OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749 (OAuth
// 2.0), RFC 7636 (PKCE), RFC 7515 to 7519 (JOSE), RFC 9207 (issuer in the answer)
// and the advice of RFC 9700.
package oidc

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"certportal/internal/portal"
)

// defaultTimeout bounds a whole sign-in at the provider.
const defaultTimeout = 5 * time.Second

// Config is what a Provider works with. Issuer, ClientID, RedirectURL and one of
// the claims are required.
type Config struct {
	// Issuer is the provider's address exactly as its tokens name it, such as
	// https://login.microsoftonline.com/{tenant}/v2.0. It must be of one tenant:
	// "common" and "organizations" would let in every tenant there is.
	Issuer string

	// ClientID is the portal's name at the provider.
	ClientID string

	// ClientSecret gives the portal's secret at the provider. It is asked at every
	// sign-in, so that a renewed secret needs no restart. Nil for a public client,
	// which PKCE alone protects.
	ClientSecret func() (string, error)

	// RedirectURL is where people come back to: the portal's https address and the
	// path of the callback, as the provider knows it.
	RedirectURL string

	// Scopes are asked for besides "openid". Optional.
	Scopes []string

	// SIDClaim and UPNClaim name the claims with the account's objectSid as
	// "S-1-5-21-…" and its user principal name; an empty one is not read. Nobody but
	// an administrator of the provider may be able to change their values.
	SIDClaim, UPNClaim string

	// Roots are trusted to vouch for the provider. Default: those of the system.
	Roots *x509.CertPool

	// Timeout bounds all talk with the provider during one call. Default 5 s.
	Timeout time.Duration

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Provider is the identity provider of one company. It is safe for concurrent
// use. Nothing is asked of the provider before the first sign-in or Check: it may
// be down when the portal starts.
type Provider struct {
	issuer   string
	clientID string
	secret   func() (string, error)
	redirect string
	scopes   []string
	sidClaim string
	upnClaim string
	timeout  time.Duration
	now      func() time.Time
	log      *slog.Logger

	client   *http.Client
	metadata *kept[metadata]
	keys     *kept[keyList]
}

// New checks the configuration. It names the field that is wrong.
func New(c Config) (*Provider, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("openid: %w", err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	p := &Provider{
		issuer: c.Issuer, clientID: c.ClientID, secret: c.ClientSecret, redirect: c.RedirectURL,
		sidClaim: c.SIDClaim, upnClaim: c.UPNClaim, timeout: cmp.Or(c.Timeout, defaultTimeout), now: c.Now, log: c.Log,
	}
	p.scopes = []string{"openid"}
	for _, scope := range c.Scopes {
		if !slices.Contains(p.scopes, scope) {
			p.scopes = append(p.scopes, scope)
		}
	}
	p.client = newClient(c.Roots, p.timeout)
	p.metadata = newKept(p.now, p.readMetadata)
	p.keys = newKept(p.now, p.readKeys)
	return p, nil
}

func (c Config) check() error {
	if err := checkAddress(c.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if strings.Contains(c.Issuer, "?") {
		return fmt.Errorf("issuer: address %q holds a query", c.Issuer)
	}
	if c.ClientID == "" {
		return errors.New("client id: missing")
	}
	if err := checkAddress(c.RedirectURL); err != nil {
		return fmt.Errorf("redirect address: %w", err)
	}
	if c.Timeout < 0 {
		return fmt.Errorf("timeout: %s is negative", c.Timeout)
	}
	for _, claim := range []string{c.SIDClaim, c.UPNClaim} {
		if strings.Contains(strings.ToLower(claim), "mail") {
			return fmt.Errorf("claim %q: a mail address does not identify an account", claim)
		}
	}
	if c.SIDClaim == "" && c.UPNClaim == "" {
		return errors.New("claims: neither a SID nor a user principal name is read")
	}
	return nil
}

// checkAddress refuses what is not an https address of a host. Codes, secrets and
// tokens travel there.
func checkAddress(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(s, "#") {
		return fmt.Errorf("%q is not an https address", s)
	}
	return nil
}

// outage says that the provider did not answer, or not as a provider does: the
// person can do nothing about it.
func outage(doing string, err error) error {
	return &portal.Outage{Part: portal.PartProvider, Err: fmt.Errorf("%s: %w", doing, err)}
}
