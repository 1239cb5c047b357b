package web_test

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/audit"
	"certportal/internal/oidc"
	"certportal/internal/portal"
	"certportal/internal/test/oidcserver"
	"certportal/internal/test/testkit"
	"certportal/web"
)

const ssoCookie = "__Host-sso"

// ssoPortal is a portal beside the identity provider of its people.
type ssoPortal struct {
	*testPortal
	idp *oidcserver.Provider
}

// newSSOPortal starts both. anna comes next.
func newSSOPortal(t *testing.T, change ...func(*web.Config)) *ssoPortal {
	t.Helper()
	c := &ssoPortal{}
	c.idp = oidcserver.New(t, oidcserver.Config{Algorithm: "ES256", Now: func() time.Time { return c.clock.Now() }})
	c.idp.SignIn(map[string]any{"upn": "anna@example.com"})
	sso := func(w *web.Config) {
		provider, err := oidc.New(oidc.Config{
			Issuer: c.idp.Issuer(), ClientID: oidcserver.ClientID, UPNClaim: "upn",
			ClientSecret: func() (string, error) { return oidcserver.ClientSecret, nil },
			RedirectURL:  w.PublicURL.String() + web.CallbackPath, Roots: c.idp.Roots(), Now: w.Now, Log: w.Log,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.idp.Register(w.PublicURL.String() + web.CallbackPath)
		w.SSO = &web.SSO{Provider: provider, Name: "Corp sign-in"}
	}
	c.testPortal = newPortal(t, append([]func(*web.Config){sso}, change...)...)
	return c
}

func passwordOff(c *web.Config) { c.SSO.PasswordOff = true }

// leave follows the way to the provider and returns the address it sends the
// browser back to, as a path.
func (c *ssoPortal) leave(b *browser, path string) string {
	c.t.Helper()
	got := b.get(path)
	if got.status != 303 || !strings.HasPrefix(got.location(), c.idp.Issuer()+"/authorize?") {
		c.t.Fatalf("GET %s: got %d to %q: %s", path, got.status, got.location(), got.text())
	}
	return c.comeBack(got.location())
}

// comeBack is the browser at the provider.
func (c *ssoPortal) comeBack(address string) string {
	c.t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.idp.Roots()}, DisableKeepAlives: true},
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
	back, ok := strings.CutPrefix(response.Header.Get("Location"), c.https.URL)
	if !ok || !strings.HasPrefix(back, web.CallbackPath+"?") {
		c.t.Fatalf("provider: got %d to %q", response.StatusCode, response.Header.Get("Location"))
	}
	return back
}

func TestSingleSignOn(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	b := c.browser(iPhone)
	page := b.get("/login?next=%2Fnew%3Fp%3Dios")
	link := page.id("sso")
	if link == nil || !strings.Contains(page.text(), "Continue with Corp sign-in") {
		t.Fatalf("the page offers no way to the provider: %s", page.text())
	}
	back := c.leave(b, attr(link, "href"))
	got := b.get(back)
	if got.status != 303 || got.location() != "/new?p=ios" {
		t.Fatalf("coming back: got %d to %q: %s", got.status, got.location(), got.text())
	}
	if got := b.get("/new?p=ios"); got.status != 200 || !strings.Contains(got.text(), "Anna Muster") {
		t.Errorf("after it: got %d: %s", got.status, got.text())
	}
	if b.cookie(ssoCookie) != "" {
		t.Error("the cookie of the way is still there")
	}
	if got := c.entries(audit.SignedIn); got != 1 {
		t.Errorf("ledger: got %d sign-ins, want 1", got)
	}
	b.enrol("Anna's iPhone", "ios")
	if got := b.get("/login/sso?next=%2Fnew"); got.status != 303 || got.location() != "/new" {
		t.Errorf("when signed in: got %d to %q", got.status, got.location())
	}
	if got := c.signedIn("anna", linux).get("/"); got.status != 200 {
		t.Errorf("with a password: got %d", got.status)
	}
}

func TestSSOCookie(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	got := c.browser(iPhone).get("/login/sso?next=%2Fnew")
	cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	if cookie.Name != ssoCookie || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
		cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != 600 {
		t.Errorf("got %q", got.header.Get("Set-Cookie"))
	}
	secret, _, _ := strings.Cut(cookie.Value, ".")
	if len(secret) != 43 || strings.Contains(got.location(), secret) {
		t.Errorf("the cookie's secret %q travels to the provider", secret)
	}
	if h := got.header.Get("Cache-Control"); h != "no-store" {
		t.Errorf("Cache-Control: got %q", h)
	}
}

// TestSSONoes shows what people see when the provider or the directory says no.
func TestSSONoes(t *testing.T) {
	t.Parallel()
	claim := func(upn string) func(*ssoPortal) {
		return func(c *ssoPortal) { c.idp.SignIn(map[string]any{"upn": upn}) }
	}
	disable := func(c *ssoPortal) {
		if err := c.people.SetDisabled(t.Context(), "anna", true, audit.Entry{At: testkit.Noon}); err != nil {
			c.t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		before func(*ssoPortal)
		status int
		words  string
		log    string // of the operator; empty for none in particular
	}{
		{"unknown", claim("nobody@example.com"), 403, "You signed in with Corp sign-in, but we cannot find this account", "unknown-person"},
		{"no account", func(c *ssoPortal) { c.idp.SignIn(map[string]any{"email": "anna@example.com"}) }, 403, "We do not know this account", `claim \"upn\"`},
		{"disabled", disable, 403, "Your work account is switched off", "disabled"},
		{"lie", func(c *ssoPortal) { c.idp.Misbehave(oidcserver.WrongNonce) }, 403, "Signing in with Corp sign-in did not work", "nonce of another sign-in"},
		{"other key", func(c *ssoPortal) { c.idp.Misbehave(oidcserver.OtherKey) }, 403, "did not work", "no key of the provider"},
		{"provider down", func(c *ssoPortal) { c.idp.Misbehave(oidcserver.Broken) }, 503, "Corp sign-in is not answering. It is not your password.", "identity-provider"},
		{"portal unknown there", func(c *ssoPortal) { c.idp.Misbehave(oidcserver.RefusesClient) }, 503, "is not answering", "client secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newSSOPortal(t)
			b := c.browser(iPhone)
			back := c.leave(b, "/login/sso?next=%2Fnew")
			tt.before(c)
			got := b.get(back)
			if got.status != tt.status || !strings.Contains(got.text(), tt.words) {
				t.Errorf("got %d, want %d with %q: %s", got.status, tt.status, tt.words, got.text())
			}
			checkUsedUp(t, got)
			checkNoSecrets(t, c, got, back)
			if !strings.Contains(c.log.String(), tt.log) {
				t.Errorf("the log does not tell %q", tt.log)
			}
			if b.cookie(sessionCookie) != "" || c.entries(audit.SignedIn) != 0 {
				t.Error("somebody was signed in")
			}
			if tt.status == 503 && (got.header.Get("Retry-After") == "" || buttonTo(got) != "/login?next=%2Fnew#username") {
				t.Errorf("no other way in: %q", buttonTo(got))
			}
		})
	}
}

// buttonTo is where the first button of the page leads.
func buttonTo(a answer) string {
	n := a.node(func(n *html.Node) bool { return n.Data == "a" && attr(n, "class") == "btn" })
	if n == nil {
		return ""
	}
	return attr(n, "href")
}

// TestProviderSaysNo answers with an error instead of a code.
func TestProviderSaysNo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code   string
		status int
		words  string
	}{
		{"access_denied", 403, "You did not finish signing in with Corp sign-in"},
		{"login_required", 403, "Signing in with Corp sign-in did not work"},
		{"server_error", 503, "is not answering"},
		{"temporarily_unavailable", 503, "is not answering"},
		{"<script>alert(1)</script>\n" + strings.Repeat("x", 3000), 403, "did not work"},
	}
	for _, tt := range tests {
		t.Run(tt.code[:8], func(t *testing.T) {
			c := newSSOPortal(t)
			b := c.browser(iPhone)
			state := query(t, c.leave(b, "/login/sso?next=%2Fnew")).Get("state")
			path := web.CallbackPath + "?" + url.Values{"error": {tt.code}, "error_description": {"mallory"}, "state": {state}}.Encode()
			got := b.get(path)
			if got.status != tt.status || !strings.Contains(got.text(), tt.words) {
				t.Errorf("got %d, want %d with %q: %s", got.status, tt.status, tt.words, got.text())
			}
			checkUsedUp(t, got)
			if tt.status == 403 && got.value("next") != "/new" {
				t.Errorf("next: got %q, want the page the person wanted", got.value("next"))
			}
			if log := c.log.String(); strings.Contains(log, "mallory") || strings.Contains(log, strings.Repeat("x", 200)) {
				t.Error("what the provider wrote stands in the log at length")
			}
			if strings.Contains(string(got.body), "<script>alert") || strings.Contains(string(got.body), "mallory") {
				t.Error("what the provider wrote stands on the page")
			}
		})
	}
}

func TestPasswordOff(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t, passwordOff)
	b := c.browser(iPhone)
	page := b.get("/login")
	if page.status != 200 || page.id("password") != nil || page.id("sso") == nil {
		t.Errorf("page: got %d: %s", page.status, page.text())
	}
	if got := b.post("/login", "username", "anna", "password", password); got.status != 404 || b.cookie(sessionCookie) != "" {
		t.Errorf("posting a password: got %d, want 404", got.status)
	}
	if got := b.get(c.leave(b, "/login/sso")); got.status != 303 {
		t.Errorf("signing in: got %d: %s", got.status, got.text())
	}
	b.post("/logout")
	c.idp.Misbehave(oidcserver.Broken)
	c.clock.Advance(2 * time.Hour)
	got := b.get("/login/sso")
	if got.status != 503 || strings.Contains(got.text(), "password here") || buttonTo(got) != "/" {
		t.Errorf("provider down: got %d with a button to %q: %s", got.status, buttonTo(got), got.text())
	}
}

// TestWithoutSSO holds that the addresses are not there without a provider.
func TestWithoutSSO(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	for _, path := range []string{"/login/sso", web.CallbackPath, web.CallbackPath + "?code=x&state=y"} {
		if got := p.browser(linux).get(path); got.status != 404 {
			t.Errorf("%s: got %d, want 404", path, got.status)
		}
	}
	if got := p.browser(linux).get("/login"); got.id("sso") != nil || got.id("password") == nil {
		t.Errorf("sign-in page: %s", got.text())
	}
}

func TestSSOPerAddress(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t, func(c *web.Config) { c.Limits.SignIns = 3 })
	for _, path := range []string{"/login/sso", web.CallbackPath + "?code=x"} {
		b := c.browser(iPhone)
		for range 3 {
			if got := b.get(path); got.status == 429 {
				t.Fatalf("%s: paused too early", path)
			}
		}
		if got := b.get(path); got.status != 429 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d, want 429", path, got.status)
		}
	}
}

func TestSSOConfig(t *testing.T) {
	t.Parallel()
	for name, sso := range map[string]*web.SSO{
		"no provider": {Name: "Corp"}, "no name": {Provider: &oidc.Provider{}, Name: " "},
	} {
		c := web.Config{}
		newPortal(t, func(w *web.Config) { c = *w })
		c.SSO = sso
		if _, err := web.New(c); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// TestA14_NoOtherScheme offers no Windows sign-in on the way to the provider.
func TestA14_NoOtherScheme(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	for _, path := range []string{"/login/sso", web.CallbackPath, web.CallbackPath + "?code=x&state=y", "/login"} {
		for _, value := range []string{"NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw==", "Negotiate YII="} {
			got := c.browser(linux).get(path, "Authorization", value)
			if h := got.header.Values("WWW-Authenticate"); len(h) != 0 {
				t.Errorf("%s: offers %q", path, h)
			}
		}
	}
	if got := c.onPlain().get("/login/sso"); got.status != 308 {
		t.Errorf("plain http: got %d, want the way to https", got.status)
	}
	if got := c.onPlain().post(web.CallbackPath); got.status != 404 {
		t.Errorf("plain http, POST: got %d, want 404", got.status)
	}
}

// TestSSOPerson hands on what the provider says, and the directory decides.
func TestSSOPerson(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	c.idp.SignIn(map[string]any{"upn": "HEDI@EXAMPLE.COM", "name": "Mallory", "sub": "id-of-anna"})
	b := c.browser(iPhone)
	b.get(c.leave(b, "/login/sso"))
	home := b.get("/").text()
	if !strings.Contains(home, "Hedi Help") || strings.Contains(home, "Mallory") {
		t.Errorf("got %s", home)
	}
	if got := c.certificates("hedi"); got[portal.Issued] != 0 {
		t.Errorf("got %v", got)
	}
}
