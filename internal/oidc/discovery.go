package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// metadata is the metadata document of the provider (OpenID Connect Discovery 1.0
// section 3, RFC 8414, RFC 9207).
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	SecretBy      []string `json:"token_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	NamesIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// readMetadata fetches the provider's metadata. It refuses metadata of another issuer, so
// that one provider cannot issue tokens in the name of another.
func (p *Provider) readMetadata(ctx context.Context) (metadata, error) {
	var m metadata
	address := strings.TrimSuffix(p.issuer, "/") + "/.well-known/openid-configuration"
	if err := p.document(ctx, address, &m); err != nil {
		return metadata{}, outage("discovering identity provider", err)
	}
	if err := m.check(p.issuer); err != nil {
		return metadata{}, outage("discovering identity provider", err)
	}
	return m, nil
}

func (m metadata) check(issuer string) error {
	if m.Issuer != issuer {
		return fmt.Errorf("the provider calls itself %.200q, the setting says %q: they must be equal to the letter", m.Issuer, issuer)
	}
	for name, address := range map[string]string{
		"authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "jwks_uri": m.Keys,
	} {
		if err := checkAddress(address); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(m.Challenges) > 0 && !slices.Contains(m.Challenges, "S256") {
		return errors.New("the provider does not know PKCE with S256")
	}
	return nil
}

// style returns how the portal sends its secret. It is not probed, because a failed
// attempt would use up the code.
func (m metadata) style(secret string) oauth2.AuthStyle {
	byHeader := len(m.SecretBy) == 0 || slices.Contains(m.SecretBy, "client_secret_basic")
	if secret != "" && byHeader {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// Check fetches the provider's metadata and keys and reads the portal's client secret. The
// error is a *portal.Outage for the administrator.
func (p *Provider) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if _, err := p.metadata.get(ctx, false); err != nil {
		return asOutage("discovering identity provider", err)
	}
	if _, err := p.keys.get(ctx, false); err != nil {
		return asOutage("reading keys of identity provider", err)
	}
	_, err := p.readSecret()
	return err
}
