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

// Flow is one sign-in, with three secrets, each of 128 bits of entropy or
// more. The caller makes them, keeps them from one request to the next, and
// compares State itself.
type Flow struct {
	State    string // comes back in the address
	Nonce    string // comes back in the ID token
	Verifier string // proves at the end that it is the same sign-in; 43 to 128 characters (RFC 7636 section 4.1)

	// Since, when it is set, asks for a sign-in that is newer than this moment,
	// whatever session the person has at the provider (OpenID Connect Core section
	// 3.1.2.1, prompt and max_age). The provider must then say when it was.
	Since time.Time
}

// Answer is what the provider sent along when the person came back.
type Answer struct {
	Code   string
	Issuer string // "iss" of the address; empty when there is none (RFC 9207)
}

// Address is where the person signs in. The error is an *enroll.Outage when the
// provider does not answer.
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

// Finish exchanges the code and tells who signed in. The error is an
// *enroll.Outage when the provider does not answer or does not know the portal, an
// *enroll.Refusal with UnknownPerson when the token names no account, and any
// other error when the answer is not to be believed.
func (p *Provider) Finish(ctx context.Context, flow Flow, answer Answer) (portal.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	m, err := p.metadata.get(ctx, false)
	if err != nil {
		return portal.Claim{}, asOutage("discovering identity provider", err)
	}
	// A code of another provider must not even be shown to this one (RFC 9207
	// section 2.4).
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

// exchange sends the code and gets the tokens for it.
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
	// The error's own text would repeat the whole answer.
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

// asOutage makes an outage of what may be the end of the waiting time.
func asOutage(doing string, err error) error {
	var known *portal.Outage
	if errors.As(err, &known) {
		return err
	}
	return outage(doing, err)
}

// maxErrorText bounds what of a foreign error stands in the log, in bytes.
const maxErrorText = 400

// clipped is an error whose text may hold a whole answer.
type clipped struct{ error }

// Error is the beginning of the text.
func (c clipped) Error() string { return fmt.Sprintf("%.*s", maxErrorText, c.error.Error()) }

// Unwrap gives the whole error.
func (c clipped) Unwrap() error { return c.error }
