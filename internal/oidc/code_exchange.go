package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"certportal/internal/portal"
)

// Flow is one sign-in, with three secrets of at least 128 bits of entropy. The caller
// generates them, stores them between its two requests, and compares State itself.
type Flow struct {
	State    string // returned in the redirect
	Nonce    string // returned in the ID token
	Verifier string // PKCE code verifier of 43 to 128 characters (RFC 7636 section 4.1)

	// Since, when set, requires a sign-in after this time even when the person has a
	// session at the provider (OpenID Connect Core section 3.1.2.1, prompt and max_age).
	// The ID token must then have auth_time.
	Since time.Time
}

// Answer has the parameters of the provider's redirect back to the portal.
type Answer struct {
	Code   string
	Issuer string // parameter "iss" (RFC 9207); empty without one
}

// Address returns the URL where the person signs in. The error is a *portal.Outage when
// the provider does not answer.
func (p *Provider) Address(ctx context.Context, flow Flow) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	m, err := p.metadata.get(ctx, false)
	if err != nil {
		return "", asOutage("discovering identity provider", err)
	}
	config := p.oauth(m, "")
	options := []oauth2.AuthCodeOption{oidc.Nonce(flow.Nonce), oauth2.S256ChallengeOption(flow.Verifier)}
	if !flow.Since.IsZero() {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return config.AuthCodeURL(flow.State, options...), nil
}

// Finish exchanges the code and returns the account that signed in. The error is a
// *portal.Outage when the provider does not answer or refuses the portal's credentials, a
// *portal.Refusal with UnknownPerson when the token has no account, and any other error
// when the response is invalid.
func (p *Provider) Finish(ctx context.Context, flow Flow, answer Answer) (portal.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	m, err := p.metadata.get(ctx, false)
	if err != nil {
		return portal.Claim{}, asOutage("discovering identity provider", err)
	}
	// A code of another provider must not be sent to this one (RFC 9207 section 2.4).
	if answer.Issuer != p.issuer && (answer.Issuer != "" || m.NamesIssuer) {
		return portal.Claim{}, fmt.Errorf("answer of issuer %.200q, not of %q", answer.Issuer, p.issuer)
	}
	token, err := p.exchange(ctx, m, flow, answer.Code)
	if err != nil {
		return portal.Claim{}, err
	}
	id, err := p.verify(ctx, flow, token)
	if err != nil {
		return portal.Claim{}, err
	}
	return p.claim(id)
}

func (p *Provider) oauth(m metadata, secret string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.clientID, ClientSecret: secret, RedirectURL: p.redirect, Scopes: p.scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorization, TokenURL: m.Token, AuthStyle: m.style(secret)},
	}
}

func (p *Provider) readSecret() (string, error) {
	if p.secret == nil {
		return "", nil
	}
	secret, err := p.secret()
	if err == nil && secret == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", outage("reading client secret", err)
	}
	return secret, nil
}

// exchange exchanges the code for tokens.
func (p *Provider) exchange(ctx context.Context, m metadata, flow Flow, code string) (*oauth2.Token, error) {
	secret, err := p.readSecret()
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.client)
	token, err := p.oauth(m, secret).Exchange(ctx, code, oauth2.VerifierOption(flow.Verifier))
	if err == nil {
		return token, nil
	}
	var no *oauth2.RetrieveError
	if !errors.As(err, &no) {
		return nil, outage("exchanging code", clipped{err})
	}
	// The error's own text contains the whole response.
	reason := fmt.Errorf("status %d, %.100q: %.300q", no.Response.StatusCode, no.ErrorCode, no.ErrorDescription)
	switch no.ErrorCode {
	case "invalid_grant", "invalid_request", "access_denied":
		return nil, fmt.Errorf("exchanging code: %w", reason)
	}
	if no.Response.StatusCode == http.StatusUnauthorized || no.ErrorCode == "invalid_client" {
		reason = fmt.Errorf("%w: look at client id and client secret", reason)
	}
	return nil, outage("exchanging code", reason)
}

// asOutage wraps an error, such as the end of the context, in an outage.
func asOutage(doing string, err error) error {
	var known *portal.Outage
	if errors.As(err, &known) {
		return err
	}
	return outage(doing, err)
}

// maxErrorText limits the text of an error from a library, in bytes.
const maxErrorText = 400

// clipped truncates the text of an error, which may contain a whole response.
type clipped struct{ error }

// Error returns the beginning of the text.
func (c clipped) Error() string { return fmt.Sprintf("%.*s", maxErrorText, c.error.Error()) }

// Unwrap returns the original error.
func (c clipped) Unwrap() error { return c.error }
