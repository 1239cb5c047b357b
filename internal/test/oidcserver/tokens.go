package oidcserver

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// shortModulus is 1024 bits long.
func shortModulus() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), 1023)
	return n.Add(n, big.NewInt(1))
}

// idToken makes the ID token of a sign-in.
func (p *Provider) idToken(g *grant, access string) (string, error) {
	payload, err := json.Marshal(p.content(g, access))
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	key, other, id := p.key, p.other, p.keyID
	p.mu.Unlock()
	own := jose.JSONWebKey{Key: key, KeyID: id}
	switch {
	case p.does(Unsigned):
		return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(payload) + ".", nil
	case p.does(SharedSecret):
		public, err := x509.MarshalPKIXPublicKey(own.Public().Key)
		if err != nil {
			return "", err
		}
		return compact(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: public, KeyID: id}}, payload, nil)
	case p.does(ClientSecretMAC):
		secret := jose.JSONWebKey{Key: []byte(ClientSecret + ClientSecret), KeyID: id}
		return compact(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, payload, nil)
	case p.does(OtherKey):
		return compact(jose.SigningKey{Algorithm: p.c.Algorithm, Key: jose.JSONWebKey{Key: other, KeyID: id}}, payload, nil)
	case p.does(UnknownKey):
		return compact(jose.SigningKey{Algorithm: p.c.Algorithm, Key: jose.JSONWebKey{Key: other, KeyID: "key-9"}}, payload, nil)
	case p.does(OwnKey):
		embed := (&jose.SignerOptions{}).WithHeader("jku", p.server.URL+"/keys")
		embed.EmbedJWK = true
		return compact(jose.SigningKey{Algorithm: p.c.Algorithm, Key: other}, payload, embed)
	case p.does(Doubled):
		return doubled(p.c.Algorithm, own, jose.JSONWebKey{Key: other, KeyID: "key-9"}, payload)
	}
	token, err := compact(jose.SigningKey{Algorithm: p.c.Algorithm, Key: own}, payload, nil)
	if err == nil && p.does(Altered) {
		parts := strings.Split(token, ".")
		changed := strings.Replace(string(payload), `"sub":"subject-of-the-test"`, `"sub":"subject-of-others-1"`, 1)
		token = parts[0] + "." + encode([]byte(changed)) + "." + parts[2]
	}
	return token, err
}

// content are the claims of an ID token.
func (p *Provider) content(g *grant, access string) map[string]any {
	now := p.c.Now()
	hash := sha256.Sum256([]byte(access))
	p.mu.Lock()
	claims := map[string]any{
		"iss": p.server.URL, "aud": ClientID, "sub": "subject-of-the-test", "nonce": g.nonce,
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "at_hash": encode(hash[:16]),
		"email": "somebody.else@example.com", "preferred_username": "somebody.else",
	}
	claims["auth_time"] = now.Add(-8 * time.Hour).Unix()
	if g.fresh {
		claims["auth_time"] = now.Unix()
	}
	maps.Copy(claims, p.claims)
	p.mu.Unlock()
	lies := map[Fault]func(){
		WrongNonce:      func() { claims["nonce"] = strings.Repeat("x", 43) },
		NoNonce:         func() { delete(claims, "nonce") },
		WrongAudience:   func() { claims["aud"] = "another-portal" },
		ManyAudiences:   func() { claims["aud"] = []string{"another-portal", ClientID} },
		WrongParty:      func() { claims["azp"] = "another-portal" },
		WrongIssuer:     func() { claims["iss"] = p.server.URL + "/other-tenant" },
		Expired:         func() { claims["exp"], claims["iat"] = now.Add(-time.Hour).Unix(), now.Add(-2*time.Hour).Unix() },
		NoExpiry:        func() { delete(claims, "exp") },
		FromTheFuture:   func() { claims["iat"] = now.Add(time.Hour).Unix() },
		NoSubject:       func() { delete(claims, "sub") },
		WrongAccessHash: func() { claims["at_hash"] = encode(hash[16:]) },
	}
	for fault, lie := range lies {
		if p.does(fault) {
			lie()
		}
	}
	return claims
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func compact(key jose.SigningKey, payload []byte, options *jose.SignerOptions) (string, error) {
	if options == nil {
		options = (&jose.SignerOptions{}).WithType("JWT")
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func doubled(a jose.SignatureAlgorithm, first, second jose.JSONWebKey, payload []byte) (string, error) {
	signer, err := jose.NewMultiSigner([]jose.SigningKey{{Algorithm: a, Key: first}, {Algorithm: a, Key: second}}, nil)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.FullSerialize(), nil
}
