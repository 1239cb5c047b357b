package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"certportal/internal/portal"
)

const (
	// maxSkew is how far the provider's clock may be ahead.
	maxSkew = 5 * time.Minute

	// maxUPN limits a user principal name, in bytes. Active Directory allows 1024
	// characters.
	maxUPN = 1024
)

// verify checks the ID token as OpenID Connect Core 1.0 section 3.1.3.7 requires, and the
// access token when the ID token has its hash.
func (p *Provider) verify(ctx context.Context, flow Flow, token *oauth2.Token) (*oidc.IDToken, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, outage("exchanging code", errors.New("no ID token in the answer"))
	}
	signed, err := jose.ParseSignedCompact(raw, algorithms())
	if err != nil || len(signed.Signatures) != 1 {
		return nil, fmt.Errorf("reading ID token: %w", clipped{errors.Join(err, errors.New("not one accepted signature"))})
	}
	keys, err := p.keysFor(ctx, signed.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	accepted := make([]string, 0, len(algorithms()))
	for _, a := range algorithms() {
		accepted = append(accepted, string(a))
	}
	verifier := oidc.NewVerifier(p.issuer, keys, &oidc.Config{
		ClientID: p.clientID, SupportedSigningAlgs: accepted, Now: p.now,
	})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("checking ID token: %w", clipped{err})
	}
	if err := p.checkToken(id, flow, token.AccessToken); err != nil {
		return nil, fmt.Errorf("checking ID token: %w", err)
	}
	return id, nil
}

// checkToken checks the claims that the library does not check.
func (p *Provider) checkToken(id *oidc.IDToken, flow Flow, access string) error {
	var azp struct {
		Party *string `json:"azp"`
	}
	if err := id.Claims(&azp); err != nil {
		return fmt.Errorf("claim azp: %w", err)
	}
	switch {
	case id.Subject == "":
		return errors.New("no subject")
	case flow.Nonce == "" || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(flow.Nonce)) != 1:
		return errors.New("nonce of another sign-in")
	case azp.Party != nil && *azp.Party != p.clientID:
		return fmt.Errorf("made for party %.100q", *azp.Party)
	case azp.Party == nil && len(id.Audience) != 1:
		return errors.New("made for several parties, and none is named")
	case id.IssuedAt.After(p.now().Add(maxSkew)):
		return fmt.Errorf("issued at %s, in the future", id.IssuedAt.UTC().Format(time.RFC3339))
	}
	if err := p.checkSignedIn(id, flow.Since); err != nil {
		return err
	}
	if id.AccessTokenHash != "" {
		return id.VerifyAccessToken(access)
	}
	return nil
}

// checkSignedIn checks auth_time when a new sign-in was required. Otherwise the claim is
// not read, in any form. It may be any JSON number (OpenID Connect Core section 2,
// RFC 7519 NumericDate), but not in the future: milliseconds would always be new.
func (p *Provider) checkSignedIn(id *oidc.IDToken, since time.Time) error {
	if since.IsZero() {
		return nil
	}
	var claims struct {
		SignedIn *float64 `json:"auth_time"`
	}
	if err := id.Claims(&claims); err != nil {
		return fmt.Errorf("claim auth_time: %w", err)
	}
	if claims.SignedIn == nil {
		return errors.New("a new sign-in was required, and auth_time is missing")
	}
	latest := float64(p.now().Add(maxSkew).Unix())
	if *claims.SignedIn > latest || *claims.SignedIn < float64(since.Add(-maxSkew).Unix()) {
		return fmt.Errorf("a new sign-in was required, and auth_time %v is not of one", *claims.SignedIn)
	}
	return nil
}

// claim returns the account in the token. A malformed claim counts as missing.
func (p *Provider) claim(id *oidc.IDToken) (portal.Claim, error) {
	all := map[string]json.RawMessage{}
	if err := id.Claims(&all); err != nil {
		return portal.Claim{}, fmt.Errorf("reading claims: %w", err)
	}
	claim := portal.Claim{SID: text(all, p.sidClaim), UPN: text(all, p.upnClaim)}
	if claim.SID != "" && !validSID(claim.SID) {
		claim.SID = ""
	}
	if !validUPN(claim.UPN) {
		claim.UPN = ""
	}
	if _, sent := all[p.sidClaim]; sent && claim.SID == "" {
		p.log.Warn("claim of identity provider is not a SID", "claim", p.sidClaim)
	}
	// When a SID claim is configured, a UPN alone is not enough: a cloud account can be
	// given the UPN of another person's on-premises account.
	if p.sidClaim != "" && claim.SID == "" || claim == (portal.Claim{}) {
		// The log shows the names of the claims, for setting up the provider, but not their
		// values.
		return portal.Claim{}, fmt.Errorf("ID token names no account: it lacks claim %q with a SID or claim %q with a user principal name; it holds %.300q: %w",
			p.sidClaim, p.upnClaim, strings.Join(slices.Sorted(maps.Keys(all)), " "), &portal.Refusal{Reason: portal.UnknownPerson})
	}
	return claim, nil
}

// text returns a claim that is a string, else "". It ignores lists, because nothing says
// which member to use.
func text(all map[string]json.RawMessage, name string) string {
	var s string
	if name == "" || json.Unmarshal(all[name], &s) != nil {
		return ""
	}
	return s
}

// validSID reports whether the text is a domain SID: three sub-authorities of the domain
// and the relative identifier (MS-DTYP section 2.4.2.1).
func validSID(s string) bool {
	rest, domain := strings.CutPrefix(s, "S-1-5-21-")
	parts := strings.Split(rest, "-")
	return domain && len(parts) == 4 && !slices.ContainsFunc(parts, func(part string) bool {
		n, err := strconv.ParseUint(part, 10, 32)
		return err != nil || strconv.FormatUint(n, 10) != part
	})
}

// validUPN reports whether the text has the form name@suffix.
func validUPN(s string) bool {
	name, suffix, found := strings.Cut(s, "@")
	return found && name != "" && suffix != "" && !strings.Contains(suffix, "@") && len(s) <= maxUPN &&
		utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
}
