package oidcserver

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	base := p.server.URL
	document := map[string]any{
		"issuer": base, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token",
		"jwks_uri": base + "/keys", "response_types_supported": []string{"code"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{string(p.c.Algorithm), "HS256", "none"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"code_challenge_methods_supported":      []string{"plain", "S256"},
	}
	if p.c.PostOnly {
		document["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt", "client_secret_post"}
	}
	if p.does(OtherIssuer) {
		document["issuer"] = base + "/"
	}
	if p.does(PlainEndpoint) {
		document["token_endpoint"] = strings.Replace(base, "https:", "http:", 1) + "/token"
	}
	if p.does(NoPKCE) {
		document["code_challenge_methods_supported"] = []string{"plain"}
	}
	if p.does(NamesIssuer) {
		document["authorization_response_iss_parameter_supported"] = true
	}
	answer(w, http.StatusOK, document)
}

// keys serves the signing key among others that a client must not use.
func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	mine := public(p.key, p.keyID, "sig")
	foreign := public(p.other, "for-encryption", "enc")
	p.mu.Unlock()
	unknown := map[string]string{"kty": "OKP", "crv": "X448", "kid": "unknown", "x": "AAAA"}
	shared := map[string]string{"kty": "oct", "kid": "key-1", "k": base64.RawURLEncoding.EncodeToString([]byte(ClientSecret))}
	set := []any{unknown, foreign, mine, shared}
	if p.does(NoKeys) {
		set = []any{}
	}
	if p.does(SharedKeys) {
		short := map[string]string{
			"kty": "RSA", "kid": "key-1", "e": "AQAB",
			"n": base64.RawURLEncoding.EncodeToString((&rsa.PublicKey{N: shortModulus(), E: 65537}).N.Bytes()),
		}
		set = []any{shared, short}
	}
	answer(w, http.StatusOK, map[string]any{"keys": set})
}

func public(key any, id, use string) jose.JSONWebKey {
	whole := jose.JSONWebKey{Key: key, KeyID: id, Use: use}
	return whole.Public()
}

// authorize signs the person in and redirects back. It answers an invalid request with 400
// and the reason.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.mu.Lock()
	redirect := p.redirect
	p.mu.Unlock()
	for what, right := range map[string]bool{
		"client_id":             q.Get("client_id") == ClientID,
		"redirect_uri":          q.Get("redirect_uri") == redirect,
		"response_type":         q.Get("response_type") == "code",
		"scope":                 slices.Contains(strings.Fields(q.Get("scope")), "openid"),
		"code_challenge_method": q.Get("code_challenge_method") == "S256",
		"code_challenge":        len(q.Get("code_challenge")) == 43,
		"state":                 len(q.Get("state")) >= 22,
		"nonce":                 len(q.Get("nonce")) >= 22,
	} {
		if !right {
			http.Error(w, "bad "+what, http.StatusBadRequest)
			return
		}
	}
	code := rand.Text()
	g := &grant{nonce: q.Get("nonce"), challenge: q.Get("code_challenge")}
	g.fresh = q.Get("prompt") == "login" && q.Get("max_age") == "0" && !p.does(OldSession)
	if p.does(DropsChallenge) {
		g.challenge = rand.Text()
	}
	p.mu.Lock()
	p.codes[code] = g
	p.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}}
	switch {
	case p.does(SaysOtherIssuer):
		back.Set("iss", "https://elsewhere.example")
	case !p.does(NamesIssuer):
		back.Set("iss", p.server.URL)
	}
	http.Redirect(w, r, redirect+"?"+back.Encode(), http.StatusFound)
}

// token redeems a code, once.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if !p.knows(r) || p.does(RefusesClient) {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "AADSTS7000215"})
		return
	}
	g := p.redeem(r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	p.mu.Lock()
	redirect := p.redirect
	p.mu.Unlock()
	if g == nil || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("redirect_uri") != redirect ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	access := rand.Text()
	reply := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300}
	if !p.does(NoIDToken) {
		id, err := p.idToken(g, access)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply["id_token"] = id
	}
	answer(w, http.StatusOK, reply)
}

// knows reports whether the request authenticates the client by the configured method.
func (p *Provider) knows(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	switch {
	case p.c.Public:
		return !basic && r.PostFormValue("client_id") == ClientID && r.PostFormValue("client_secret") == ""
	case p.c.PostOnly:
		return !basic && r.PostFormValue("client_id") == ClientID && r.PostFormValue("client_secret") == ClientSecret
	}
	return basic && id == url.QueryEscape(ClientID) && secret == url.QueryEscape(ClientSecret) && r.PostFormValue("client_secret") == ""
}

func (p *Provider) redeem(code string) *grant {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.codes[code]
	if g == nil || g.used {
		return nil
	}
	g.used = true
	return g
}
