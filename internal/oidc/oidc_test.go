package oidc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"certportal/internal/oidc"
	"certportal/internal/portal"
	"certportal/internal/test/oidcserver"
)

const (
	redirect = "https://certs.example.com/login/callback"
	sid      = "S-1-5-21-1004336348-1177238915-682003330-1101"
	upn      = "anna@corp.example"
)

// fixture is a test provider and the portal's client of it, with a fake clock.
type fixture struct {
	*oidc.Provider
	t    *testing.T
	idp  *oidcserver.Provider
	log  bytes.Buffer
	mu   sync.Mutex
	time time.Time
}

func (c *fixture) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *fixture) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

func newFixture(t *testing.T, idp oidcserver.Config, change ...func(*oidc.Config)) *fixture {
	t.Helper()
	c := &fixture{t: t, time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	idp.Redirect, idp.Now = redirect, c.now
	c.idp = oidcserver.New(t, idp)
	c.idp.SignIn(map[string]any{"onprem_sid": sid, "upn": upn})
	config := oidc.Config{
		Issuer: c.idp.Issuer(), ClientID: oidcserver.ClientID, RedirectURL: redirect, Roots: c.idp.Roots(),
		ClientSecret: func() (string, error) { return oidcserver.ClientSecret, nil },
		SIDClaim:     "onprem_sid", UPNClaim: "upn",
		Now: c.now, Log: slog.New(slog.NewTextHandler(&c.log, nil)),
	}
	for _, f := range change {
		f(&config)
	}
	var err error
	if c.Provider, err = oidc.New(config); err != nil {
		t.Fatal(err)
	}
	return c
}

// flow returns the secrets of a sign-in; different letters give different flows.
func flow(letter string) oidc.Flow {
	return oidc.Flow{
		State: strings.Repeat(letter, 43), Nonce: strings.Repeat(letter, 42) + "n", Verifier: strings.Repeat(letter, 42) + "v",
	}
}

// visit acts as the person's browser at the provider and returns the redirect's answer.
func (c *fixture) visit(f oidc.Flow) oidc.Answer {
	c.t.Helper()
	address, err := c.Address(c.t.Context(), f)
	if err != nil {
		c.t.Fatal(err)
	}
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: tlsConfig(c.idp.Roots())},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	defer client.CloseIdleConnections()
	back, err := url.Parse(response.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(response.Header.Get("Location"), redirect+"?") {
		c.t.Fatalf("got %d to %q: %v", response.StatusCode, back, err)
	}
	if got := back.Query().Get("state"); got != f.State {
		c.t.Errorf("state: got %q, want %q", got, f.State)
	}
	return oidc.Answer{Code: back.Query().Get("code"), Issuer: back.Query().Get("iss")}
}

// signIn runs a whole sign-in.
func (c *fixture) signIn() (portal.Claim, error) {
	c.t.Helper()
	f := flow("a")
	return c.Finish(c.t.Context(), f, c.visit(f))
}

// isOutage reports whether the error is an outage of the provider.
func isOutage(err error) bool {
	var outage *portal.Outage
	return errors.As(err, &outage) && outage.Part == portal.PartProvider
}

func TestSignIn(t *testing.T) {
	tests := []struct {
		name   string
		idp    oidcserver.Config
		change func(*oidc.Config)
	}{
		{"RS256", oidcserver.Config{}, func(*oidc.Config) {}},
		{"PS256", oidcserver.Config{Algorithm: jose.PS256}, func(*oidc.Config) {}},
		{"ES256", oidcserver.Config{Algorithm: jose.ES256}, func(*oidc.Config) {}},
		{"secret in the form", oidcserver.Config{PostOnly: true}, func(*oidc.Config) {}},
		{"public client", oidcserver.Config{Public: true}, func(c *oidc.Config) { c.ClientSecret = nil }},
		{"further scopes", oidcserver.Config{}, func(c *oidc.Config) { c.Scopes = []string{"profile", "openid", "profile"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newFixture(t, tt.idp, tt.change)
			got, err := c.signIn()
			if want := (portal.Claim{SID: sid, UPN: upn}); err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
			if err := c.Check(t.Context()); err != nil {
				t.Errorf("check: %v", err)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	c := newFixture(t, oidcserver.Config{}, func(c *oidc.Config) { c.Scopes = []string{"profile"} })
	address, err := c.Address(t.Context(), flow("a"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"response_type": "code", "client_id": oidcserver.ClientID, "redirect_uri": redirect, "scope": "openid profile",
		"state": flow("a").State, "nonce": flow("a").Nonce, "code_challenge_method": "S256",
	} {
		if got := u.Query().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if strings.Contains(address, flow("a").Verifier) || strings.Contains(address, url.QueryEscape(oidcserver.ClientSecret)) {
		t.Error("the address holds a secret")
	}
}

// TestA9_HostileProvider has the provider, or a man in the middle, send one wrong value at
// a time. None of them signs a person in.
func TestA9_HostileProvider(t *testing.T) {
	tests := []struct {
		fault  oidcserver.Fault
		outage bool
		words  string // in the operator's log record
	}{
		{oidcserver.SaysOtherIssuer, false, "answer of issuer"},
		{oidcserver.NamesIssuer, false, "answer of issuer"},
		{oidcserver.DropsChallenge, false, "invalid_grant"},
		{oidcserver.RefusesClient, true, "look at client id and client secret"},
		{oidcserver.NoIDToken, true, "no ID token"},
		{oidcserver.WrongNonce, false, "nonce of another sign-in"},
		{oidcserver.NoNonce, false, "nonce of another sign-in"},
		{oidcserver.WrongAudience, false, "audience"},
		{oidcserver.ManyAudiences, false, "several parties"},
		{oidcserver.WrongParty, false, "made for party"},
		{oidcserver.WrongIssuer, false, "different provider"},
		{oidcserver.Expired, false, "expired"},
		{oidcserver.NoExpiry, false, "expired"},
		{oidcserver.FromTheFuture, false, "in the future"},
		{oidcserver.NoSubject, false, "no subject"},
		{oidcserver.WrongAccessHash, false, "access token hash"},
		{oidcserver.Unsigned, false, "reading ID token"},
		{oidcserver.SharedSecret, false, "reading ID token"},
		{oidcserver.ClientSecretMAC, false, "reading ID token"},
		{oidcserver.OtherKey, false, "no key of the provider"},
		{oidcserver.UnknownKey, false, "no key of the provider"},
		{oidcserver.OwnKey, false, "no key of the provider"},
		{oidcserver.Altered, false, "no key of the provider"},
		{oidcserver.Doubled, false, "reading ID token"},
	}
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256} {
		c := newFixture(t, oidcserver.Config{Algorithm: algorithm})
		for _, tt := range tests {
			t.Run(string(algorithm)+"/"+string(tt.fault), func(t *testing.T) {
				c.idp.Misbehave(tt.fault)
				c.pass(2 * time.Hour) // cached documents are old
				got, err := c.signIn()
				if err == nil || got != (portal.Claim{}) {
					t.Fatalf("got %+v, %v, want nobody", got, err)
				}
				if isOutage(err) != tt.outage {
					t.Errorf("outage: got %v, want %v: %v", isOutage(err), tt.outage, err)
				}
				if !strings.Contains(err.Error(), tt.words) {
					t.Errorf("got %q, want it to tell of %q", err, tt.words)
				}
				if strings.Contains(err.Error(), "eyJ") || strings.Contains(err.Error(), oidcserver.ClientSecret) {
					t.Errorf("the error tells a token or a secret: %v", err)
				}
			})
		}
	}
}

// TestA9_CodeOfAnotherSignIn uses a code in a sign-in it does not belong to.
func TestA9_CodeOfAnotherSignIn(t *testing.T) {
	c := newFixture(t, oidcserver.Config{})
	mine, theirs := flow("a"), flow("b")
	answer := c.visit(theirs)
	if _, err := c.Finish(t.Context(), mine, answer); err == nil || isOutage(err) {
		t.Errorf("code of another sign-in: got %v, want a refusal", err)
	}
	answer = c.visit(mine)
	if _, err := c.Finish(t.Context(), mine, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Finish(t.Context(), mine, answer); err == nil || isOutage(err) {
		t.Errorf("code used twice: got %v, want a refusal", err)
	}
	if _, err := c.Finish(t.Context(), mine, oidc.Answer{Code: "invented"}); err == nil || isOutage(err) {
		t.Errorf("invented code: got %v, want a refusal", err)
	}
	// The nonce is checked even when PKCE accepts the code.
	sameVerifier := oidc.Flow{State: theirs.State, Nonce: theirs.Nonce, Verifier: mine.Verifier}
	if _, err := c.Finish(t.Context(), sameVerifier, c.visit(mine)); err == nil || !strings.Contains(err.Error(), "nonce") {
		t.Errorf("token of another sign-in: got %v, want the nonce refused", err)
	}
}

func TestClaims(t *testing.T) {
	tests := []struct {
		name   string
		claims map[string]any
		want   portal.Claim
	}{
		{"both", map[string]any{"onprem_sid": sid, "upn": upn}, portal.Claim{SID: sid, UPN: upn}},
		{"SID alone", map[string]any{"onprem_sid": sid}, portal.Claim{SID: sid}},
		{"UPN alone, where the SID is asked for", map[string]any{"upn": upn}, portal.Claim{}},
		{"SID as a list", map[string]any{"onprem_sid": []string{sid}, "upn": upn}, portal.Claim{}},
		{"SID as a number", map[string]any{"onprem_sid": 1101, "upn": upn}, portal.Claim{}},
		{"SID as an object", map[string]any{"onprem_sid": map[string]string{"sid": sid}}, portal.Claim{}},
		{"SID as null", map[string]any{"onprem_sid": nil}, portal.Claim{}},
		{"SID of the machine", map[string]any{"onprem_sid": "S-1-5-18"}, portal.Claim{}},
		{"SID of a built-in group", map[string]any{"onprem_sid": "S-1-5-32-544"}, portal.Claim{}},
		{"SID with a sixth part", map[string]any{"onprem_sid": sid + "-1"}, portal.Claim{}},
		{"SID with a leading zero", map[string]any{"onprem_sid": "S-1-5-21-1-2-3-0500"}, portal.Claim{}},
		{"SID over 32 bits", map[string]any{"onprem_sid": "S-1-5-21-1-2-3-4294967296"}, portal.Claim{}},
		{"SID with a filter", map[string]any{"onprem_sid": "S-1-5-21-1-2-3-4)(cn=*"}, portal.Claim{}},
		{"SID in lower case", map[string]any{"onprem_sid": strings.ToLower(sid)}, portal.Claim{}},
		{"other name", map[string]any{"ONPREM_SID": sid, "Upn": upn}, portal.Claim{}},
		{"UPN without suffix", map[string]any{"upn": "anna"}, portal.Claim{}},
		{"UPN with two", map[string]any{"upn": "anna@corp@example"}, portal.Claim{}},
		{"UPN with a blank", map[string]any{"upn": "anna @corp.example"}, portal.Claim{}},
		{"UPN with a line break", map[string]any{"upn": "anna\n@corp.example"}, portal.Claim{}},
		{"UPN written backwards", map[string]any{"upn": "anna\u202e@corp.example"}, portal.Claim{}},
		{"UPN of a megabyte", map[string]any{"upn": strings.Repeat("a", 1024) + "@corp.example"}, portal.Claim{}},
		{"mail alone", map[string]any{"email": upn, "email_verified": true, "preferred_username": upn}, portal.Claim{}},
		{"nothing", map[string]any{}, portal.Claim{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256})
			c.idp.SignIn(tt.claims)
			got, err := c.signIn()
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if (err != nil) != (tt.want == portal.Claim{}) {
				t.Errorf("got %v", err)
			}
			if err == nil {
				return
			}
			var refusal *portal.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != portal.UnknownPerson {
				t.Errorf("got %v, want the refusal of an unknown person", err)
			}
			for _, name := range []string{`"onprem_sid"`, `"upn"`, "email", "sub"} {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("the operator's line does not name %s: %v", name, err)
				}
			}
		})
	}
}

func TestNamedClaims(t *testing.T) {
	primary := "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarysid"
	c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256}, func(c *oidc.Config) {
		c.SIDClaim, c.UPNClaim = primary, ""
	})
	c.idp.SignIn(map[string]any{primary: sid, "upn": "mallory@corp.example", "onprem_sid": sid + "1"})
	got, err := c.signIn()
	if want := (portal.Claim{SID: sid}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	c.idp.SignIn(map[string]any{"upn": "mallory@corp.example"})
	if got, err := c.signIn(); err == nil {
		t.Errorf("claim that is not read: got %+v", got)
	}
}

func TestConfig(t *testing.T) {
	good := oidc.Config{Issuer: "https://idp.example/tenant/v2.0", ClientID: "certportal", RedirectURL: redirect, UPNClaim: "upn"}
	tests := []struct {
		name   string
		change func(*oidc.Config)
		words  string // of the error; empty for none
	}{
		{"good", func(*oidc.Config) {}, ""},
		{"no issuer", func(c *oidc.Config) { c.Issuer = "" }, "issuer"},
		{"issuer without TLS", func(c *oidc.Config) { c.Issuer = "http://idp.example" }, "issuer"},
		{"issuer with query", func(c *oidc.Config) { c.Issuer += "?p=x" }, "issuer"},
		{"issuer with password", func(c *oidc.Config) { c.Issuer = "https://a:b@idp.example" }, "issuer"},
		{"no client", func(c *oidc.Config) { c.ClientID = "" }, "client id"},
		{"no way back", func(c *oidc.Config) { c.RedirectURL = "" }, "redirect"},
		{"way back without TLS", func(c *oidc.Config) { c.RedirectURL = "http://certs.example.com/login/callback" }, "redirect"},
		{"mail as identity", func(c *oidc.Config) { c.UPNClaim = "email" }, "mail address"},
		{"mail by another name", func(c *oidc.Config) { c.UPNClaim = "verified_primary_eMail" }, "mail address"},
		{"no claims", func(c *oidc.Config) { c.UPNClaim = "" }, "neither"},
		{"negative timeout", func(c *oidc.Config) { c.Timeout = -1 }, "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := good
			tt.change(&config)
			_, err := oidc.New(config)
			if (err != nil) != (tt.words != "") || (err != nil && !strings.Contains(err.Error(), tt.words)) {
				t.Errorf("got %v, want %q", err, tt.words)
			}
		})
	}
}

// TestLeaver checks that a canceled caller gets its context's error, and that the other
// callers do not see it as an outage.
func TestLeaver(t *testing.T) {
	c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256})
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, _ = c.Address(gone, flow("a"))
	if _, err := c.signIn(); err != nil {
		t.Errorf("after somebody left: %v", err)
	}
}

// TestA9_FreshSignIn requires a sign-in newer than the session at the provider.
func TestA9_FreshSignIn(t *testing.T) {
	tests := []struct {
		name   string
		fault  []oidcserver.Fault
		claims map[string]any
		ok     bool
	}{
		{"signed in anew", nil, nil, true},
		{"old session", []oidcserver.Fault{oidcserver.OldSession}, nil, false},
		{"does not tell", nil, map[string]any{"auth_time": nil}, false},
		{"tells no number", nil, map[string]any{"auth_time": "now"}, false},
		{"a fraction", nil, map[string]any{"auth_time": func(now time.Time) any { return float64(now.Unix()) + 0.25 }}, true},
		{"an exponent", nil, map[string]any{"auth_time": func(now time.Time) any { return json.RawMessage(fmt.Sprintf("%d.0e0", now.Unix())) }}, true},
		{"milliseconds", nil, map[string]any{"auth_time": func(now time.Time) any { return now.UnixMilli() }}, false},
		{"beyond numbers", nil, map[string]any{"auth_time": json.RawMessage("1e400")}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newFixture(t, oidcserver.Config{Algorithm: jose.ES256})
			claims := map[string]any{"onprem_sid": sid}
			maps.Copy(claims, tt.claims)
			if form, ok := tt.claims["auth_time"].(func(time.Time) any); ok {
				claims["auth_time"] = form(c.now())
			}
			c.idp.SignIn(claims)
			c.idp.Misbehave(tt.fault...)
			f := flow("f")
			f.Since = c.now()
			_, err := c.Finish(t.Context(), f, c.visit(f))
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
			if _, err := c.Finish(t.Context(), flow("a"), c.visit(flow("a"))); err != nil {
				t.Errorf("any session will do: %v", err)
			}
		})
	}
}
