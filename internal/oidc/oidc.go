// Package oidc signs people in at the company's identity provider with the authorization
// code flow of OpenID Connect and PKCE, as Entra ID, AD FS and Keycloak support it.
//
// The caller makes a Flow, redirects the person to Provider.Address, and passes the
// parameters of the provider's redirect back to Provider.Finish. The result is a
// portal.Claim: the SID or the user principal name of the account, and nothing else. The
// directory decides whether that person exists, may sign in, and what a certificate
// contains. Mail addresses and display names are not used, because many providers let
// people choose theirs.
//
// The package refuses a provider without TLS, redirects in responses, responses over a
// size limit, an ID token that is not signed by a key of the provider with RS256, PS256
// or ES256, and one for another client, another sign-in or another time. It stores
// nothing about a sign-in.
//
// It follows OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749 (OAuth 2.0), RFC 7636
// (PKCE), RFC 7515 to 7519 (JOSE), RFC 9207 (issuer in the response) and the advice of
// RFC 9700.
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

// defaultTimeout limits the requests of one call.
const defaultTimeout = 5 * time.Second

// Config configures a Provider. Issuer, ClientID, RedirectURL and one of the claims are
// required.
type Config struct {
	// Issuer is the provider's address exactly as in the claim iss of its tokens, such as
	// https://login.microsoftonline.com/{tenant}/v2.0. It must name one tenant: "common"
	// and "organizations" would accept accounts of every tenant.
	Issuer string

	// ClientID is the portal's client id at the provider.
	ClientID string

	// ClientSecret returns the portal's client secret. It is called at every sign-in, so
	// that a renewed secret needs no restart. Nil for a public client, which only PKCE
	// protects.
	ClientSecret func() (string, error)

	// RedirectURL is the portal's callback as registered at the provider: its https
	// address and the path.
	RedirectURL string

	// Scopes are requested besides "openid". Optional.
	Scopes []string

	// SIDClaim and UPNClaim are the names of the claims with the account's objectSid as
	// "S-1-5-21-…" and its user principal name; an empty one is not read. Only
	// administrators of the provider may be able to change their values.
	SIDClaim, UPNClaim string

	// Roots are the CAs of the provider's certificate. Default: those of the system.
	Roots *x509.CertPool

	// Timeout limits all requests to the provider during one call. Default 5 s.
	Timeout time.Duration

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Provider is a client of one identity provider. It is safe for concurrent use. It sends
// no request before the first sign-in or Check, because the provider may be down when the
// portal starts.
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
	metadata *cached[metadata]
	keys     *cached[keyList]
}

// New checks the configuration. The error names the wrong field.
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
	p.metadata = newCached(p.now, p.readMetadata)
	p.keys = newCached(p.now, p.readKeys)
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

// checkAddress requires an https URL with a host, because codes, secrets and tokens are
// sent there.
func checkAddress(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(s, "#") {
		return fmt.Errorf("%q is not an https address", s)
	}
	return nil
}

// outage returns an outage of the provider, which the person can do nothing about.
func outage(doing string, err error) error {
	return &portal.Outage{Part: portal.PartProvider, Err: fmt.Errorf("%s: %w", doing, err)}
}
