package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// minRSA is the shortest accepted RSA key, in bits.
const minRSA = 2048

// algorithms returns the accepted signature algorithms. "none" and the HMAC algorithms are
// never accepted, even when the metadata or the token names them (RFC 8725 section 3.1).
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}
}

// keyList is the provider's list of signature keys. It implements oidc.KeySet.
type keyList []jose.JSONWebKey

// readKeys fetches the provider's keys. It skips keys that are not for the accepted
// algorithms.
func (p *Provider) readKeys(ctx context.Context) (keyList, error) {
	m, err := p.metadata.get(ctx, false)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := p.document(ctx, m.Keys, &set); err != nil {
		return nil, outage("reading keys of identity provider", err)
	}
	var list keyList
	for _, raw := range set.Keys {
		key, err := readKey(raw)
		if err == nil && !signs(key) {
			err = errors.New("not a signature key of an accepted algorithm and size")
		}
		if err != nil {
			p.log.Info("key of identity provider is not used", "kid", keyID(raw), "err", clipped{err})
			continue
		}
		list = append(list, key)
	}
	if len(list) == 0 {
		return nil, outage("reading keys of identity provider", errors.New("the key set has no signature key"))
	}
	return list, nil
}

// readKey decodes a key by its parameters alone. Certificates and thumbprints of
// certificates (RFC 7517 sections 4.6 to 4.9) are ignored: they are optional, not used
// here, and must not veto a key.
func readKey(raw json.RawMessage) (key jose.JSONWebKey, err error) {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &members); err != nil {
		return key, err
	}
	for _, name := range []string{"x5u", "x5c", "x5t", "x5t#S256"} {
		delete(members, name)
	}
	bare, err := json.Marshal(members)
	if err != nil {
		return key, err
	}
	return key, json.Unmarshal(bare, &key)
}

// keyID returns the id of a key for the log, as far as it can be read.
func keyID(raw json.RawMessage) string {
	var key struct {
		ID string `json:"kid"`
	}
	if json.Unmarshal(raw, &key) != nil {
		return ""
	}
	return fmt.Sprintf("%.100s", key.ID)
}

// signs reports whether the key is for one of the accepted algorithms.
func signs(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return true
	}
	return false
}

// keysFor returns the keys with an id. For an unknown id, which may be that of a new key,
// it reads the keys again.
func (p *Provider) keysFor(ctx context.Context, id string) (keyList, error) {
	all, err := p.keys.get(ctx, false)
	if err != nil {
		return nil, asOutage("reading keys of identity provider", err)
	}
	if found := all.named(id); len(found) > 0 {
		return found, nil
	}
	all, err = p.keys.get(ctx, true)
	if err != nil {
		return nil, asOutage("reading keys of identity provider", err)
	}
	return all.named(id), nil
}

// named returns the keys with the id, or all keys for an empty id.
func (l keyList) named(id string) keyList {
	if id == "" {
		return l
	}
	var found keyList
	for _, key := range l {
		if key.KeyID == id {
			found = append(found, key)
		}
	}
	return found
}

// VerifySignature verifies the signature of a token in compact form and returns its
// payload.
func (l keyList) VerifySignature(_ context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, algorithms())
	if err != nil {
		return nil, err
	}
	for _, key := range l {
		if payload, err := signed.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("no key of the provider made this signature")
}
