package oidcserver

import (
	"net/http"
	"strings"
)

// Fault is one violation of the protocol.
type Fault string

// Faults of every response.
const (
	Slow      Fault = "no answer until the test ends"
	Broken    Fault = "status 500"
	Garbage   Fault = "no JSON"
	Huge      Fault = "a document of two megabytes"
	Redirects Fault = "a redirect to another place"
)

// Faults of discovery and keys.
const (
	OtherIssuer   Fault = "discovery names another issuer"
	PlainEndpoint Fault = "discovery names an endpoint without TLS"
	NoPKCE        Fault = "discovery knows no S256"
	NoKeys        Fault = "an empty key set"
	SharedKeys    Fault = "a key set with a shared secret and a short key only"
	NamesIssuer   Fault = "discovery promises the issuer in every answer, and none comes"
)

// Faults of the redirect and of tokens.
const (
	SaysOtherIssuer Fault = "the answer names another issuer"
	DropsChallenge  Fault = "the code is bound to another PKCE verifier"
	RefusesClient   Fault = "invalid_client"
	OldSession      Fault = "an old session, though a new sign-in was asked for"
	NoIDToken       Fault = "no ID token beside the access token"
	WrongNonce      Fault = "another nonce"
	NoNonce         Fault = "no nonce"
	WrongAudience   Fault = "for another client"
	ManyAudiences   Fault = "for several clients, and no azp"
	WrongParty      Fault = "azp of another client"
	WrongIssuer     Fault = "of another issuer"
	Expired         Fault = "an hour too old"
	NoExpiry        Fault = "without an end"
	FromTheFuture   Fault = "issued in an hour"
	NoSubject       Fault = "without a subject"
	WrongAccessHash Fault = "at_hash of another access token"
	Unsigned        Fault = "alg none"
	SharedSecret    Fault = "HS256 with the public key as the secret"
	ClientSecretMAC Fault = "HS256 with the client's secret"
	OtherKey        Fault = "signed by a key that is not published, under the name of one that is"
	UnknownKey      Fault = "signed by a key that is not published, under a name that is not either"
	OwnKey          Fault = "signed by the key that the token itself carries"
	Altered         Fault = "a claim changed after signing"
	Doubled         Fault = "in JSON form with two signatures"
)

// disturbed applies the faults of every response.
func (p *Provider) disturbed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		p.mu.Unlock()
		switch {
		case r.URL.Path == "/authorize": // the person's browser, not the portal
			next.ServeHTTP(w, r)
		case p.does(Slow):
			select {
			case <-p.stop:
			case <-r.Context().Done():
			}
		case p.does(Broken):
			http.Error(w, "out of order", http.StatusInternalServerError)
		case p.does(Garbage):
			_, _ = w.Write([]byte("<html>Sign in to the coffee shop's network</html>"))
		case p.does(Huge):
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"issuer":"` + strings.Repeat("x", 2<<20) + `"}`))
		case p.does(Redirects):
			http.Redirect(w, r, "https://elsewhere.example"+r.URL.Path, http.StatusTemporaryRedirect)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
