package web_test

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/web"
)

// TestA9_ForeignAnswers sends responses of the provider to a browser that did not
// start a sign-in: it is not signed in, and the cookie is deleted.
func TestA9_ForeignAnswers(t *testing.T) {
	t.Parallel()
	type try struct {
		c    *ssoPortal
		b    *browser // of the victim, who has started a sign-in
		back string   // the victim's own answer
	}
	tests := []struct {
		name   string
		path   func(x try) string
		header []string
		status int
	}{
		{"no cookie", func(x try) string { x.b.client.Jar = nil; return x.back }, nil, 400},
		{"answer of the attacker", func(x try) string { return x.c.leave(x.c.browser(linux), "/login/sso") }, nil, 400},
		{"attacker's code, own state", func(x try) string {
			theirs, own := query(t, x.c.leave(x.c.browser(linux), "/login/sso")), query(t, x.back)
			own.Set("code", theirs.Get("code"))
			return web.CallbackPath + "?" + own.Encode()
		}, nil, 403},
		{"no state", func(x try) string { return without(t, x.back, "state") }, nil, 400},
		{"other state", func(x try) string { return with(t, x.back, "state", strings.Repeat("A", 43)) }, nil, 400},
		{"state twice", func(x try) string { return x.back + "&state=x" }, nil, 400},
		{"code twice", func(x try) string { return x.back + "&code=x" }, nil, 400},
		{"long code", func(x try) string { return with(t, x.back, "code", strings.Repeat("x", 9000)) }, nil, 400},
		{"invented code", func(x try) string { return with(t, x.back, "code", "x") }, nil, 403},
		{"other issuer", func(x try) string { return with(t, x.back, "iss", "https://elsewhere.example") }, nil, 403},
		{"too late", func(x try) string { x.c.clock.Advance(11 * time.Minute); return x.back }, nil, 400},
		{"cookie of another page", func(x try) string { return x.back }, []string{"next"}, 400},
		{"cookie of another time", func(x try) string { return x.back }, []string{"time"}, 400},
		{"broken cookie", func(x try) string { return x.back }, []string{"broken"}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newSSOPortal(t)
			b := c.browser(iPhone)
			x := try{c, b, c.leave(b, "/login/sso?next=%2Fnew")}
			path := tt.path(x)
			var header []string
			if tt.header != nil {
				header = []string{"Cookie", ssoCookie + "=" + forged(b.cookie(ssoCookie), tt.header[0])}
				b.client.Jar = nil
			}
			got := b.get(path, header...)
			if got.status != tt.status || got.id("sso") == nil {
				t.Errorf("got %d, want %d and the sign-in page: %s", got.status, tt.status, got.text())
			}
			checkUsedUp(t, got)
			checkNoSecrets(t, c, got, path)
			if n := c.entries(audit.SignedIn); n != 0 {
				t.Errorf("got %d sign-ins", n)
			}
			if b.client.Jar != nil && b.cookie(sessionCookie) != "" {
				t.Error("a session was opened")
			}
		})
	}
}

// forged changes one part of the cookie.
func forged(cookie, part string) string {
	parts := strings.Split(cookie, ".")
	switch part {
	case "next":
		parts[2] = "L2hlbHA" // "/help"
	case "time":
		parts[1] += "0"
	default:
		parts[0] = "x"
	}
	return strings.Join(parts, ".")
}

// checkUsedUp holds that the answer ends the cookie.
func checkUsedUp(t *testing.T, got answer) {
	t.Helper()
	for _, line := range got.header.Values("Set-Cookie") {
		cookie, err := http.ParseSetCookie(line)
		if err == nil && cookie.Name == ssoCookie && cookie.Value == "" && cookie.MaxAge < 0 {
			return
		}
	}
	t.Errorf("the cookie lives on: %q", got.header.Values("Set-Cookie"))
}

// checkNoSecrets holds that code and state stand neither on the page nor in the
// log, and do not travel on.
func checkNoSecrets(t *testing.T, c *ssoPortal, got answer, path string) {
	t.Helper()
	if policy := got.header.Get("Referrer-Policy"); policy != "strict-origin" {
		t.Errorf("Referrer-Policy: got %q, want strict-origin", policy)
	}
	for name, values := range query(t, path) {
		for _, secret := range values {
			if len(secret) < 20 || name == "iss" {
				continue
			}
			if bytes.Contains(got.body, []byte(secret)) {
				t.Errorf("%s stands on the page", name)
			}
			if strings.Contains(c.log.String(), secret) {
				t.Errorf("%s stands in the log", name)
			}
		}
	}
}

func query(t *testing.T, path string) url.Values {
	t.Helper()
	u, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func with(t *testing.T, path, name, value string) string {
	t.Helper()
	q := query(t, path)
	q.Set(name, value)
	return web.CallbackPath + "?" + q.Encode()
}

func without(t *testing.T, path, name string) string {
	t.Helper()
	q := query(t, path)
	q.Del(name)
	return web.CallbackPath + "?" + q.Encode()
}

// TestA9_AnswerReplayed sends a valid response again, with a saved cookie.
func TestA9_AnswerReplayed(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	b := c.browser(iPhone)
	back := c.leave(b, "/login/sso")
	kept := b.cookie(ssoCookie)
	if got := b.get(back); got.status != 303 {
		t.Fatalf("coming back: got %d: %s", got.status, got.text())
	}
	if got := b.get(back); got.status != 400 {
		t.Errorf("again without the cookie: got %d, want 400", got.status)
	}
	thief := c.browser(linux)
	got := thief.get(back, "Cookie", ssoCookie+"="+kept)
	if got.status != 403 || thief.cookie(sessionCookie) != "" {
		t.Errorf("again with the kept cookie: got %d, want 403", got.status)
	}
	if n := c.entries(audit.SignedIn); n != 1 {
		t.Errorf("got %d sign-ins, want 1", n)
	}
}

// TestA9_FixationBySSO holds that a cookie from before the sign-in is worth nothing
// after it.
func TestA9_FixationBySSO(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	b := c.browser(iPhone)
	back := c.leave(b, "/login/sso")
	planted := strings.Repeat("A", 43)
	got := b.get(back, "Cookie", sessionCookie+"="+planted+"; "+ssoCookie+"="+b.cookie(ssoCookie))
	if got.status != 303 || b.cookie(sessionCookie) == "" || b.cookie(sessionCookie) == planted {
		t.Errorf("got %d and the planted cookie", got.status)
	}
}

// TestA9_StartOfAnotherSite holds that a link anywhere to the start changes nothing
// but its own cookie, and leads to the provider alone.
func TestA9_StartOfAnotherSite(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	b := c.signedIn("ben", linux)
	session := b.cookie(sessionCookie)
	foreign := []string{"Sec-Fetch-Site", "cross-site", "Referer", "https://evil.example/"}
	if got := b.get("/login/sso?next=https%3A%2F%2Fevil.example", foreign...); got.status != 303 || got.location() != "/" {
		t.Errorf("signed in: got %d to %q, want home", got.status, got.location())
	}
	if b.cookie(sessionCookie) != session || b.cookie(ssoCookie) != "" {
		t.Error("a foreign link changed the cookies of somebody signed in")
	}
	anonymous := c.browser(linux)
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "/login/callback?code=x", "/login/sso"} {
		back := c.leave(anonymous, "/login/sso?next="+url.QueryEscape(next))
		if got := anonymous.get(back); got.status != 303 || got.location() != "/" {
			t.Errorf("next %q: got %d to %q, want home", next, got.status, got.location())
		}
		anonymous.post("/logout")
	}
	// The provider's answer to a wrong person's start is the attacker's only chance.
	if got := c.browser(linux).get(web.CallbackPath, foreign...); got.status != 303 || got.location() != "/login" {
		t.Errorf("empty answer: got %d to %q, want the sign-in page", got.status, got.location())
	}
}

// TestA9_RememberedSignInIsNoProof: the provider may have an old session of the
// browser. Staff who change something must authenticate there again.
func TestA9_RememberedSignInIsNoProof(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	c.add("adam", "Adam Min", "Adam", portal.Admin)
	b := c.browser(linux)
	c.idp.SignIn(map[string]any{"upn": "adam@example.com"})
	b.get(c.leave(b, "/login/sso"))
	if got := b.get("/admin"); got.status != 200 {
		t.Fatalf("reading: got %d: %s", got.status, got.text())
	}
	if got := b.get("/admin/halt"); got.status != 303 || !strings.HasPrefix(got.location(), "/login?") {
		t.Fatalf("changing: got %d to %q, want the sign-in page", got.status, got.location())
	}
	const again = "/login/sso?next=%2Fadmin%2Fhalt"
	if got := b.get(again); !strings.Contains(got.location(), "max_age=0") {
		t.Errorf("the provider is asked for any sign-in: %s", got.location())
	}
	c.idp.SignIn(map[string]any{"upn": "adam@example.com", "auth_time": c.clock.Now().Add(-time.Hour).Unix()})
	if got := b.get(c.leave(b, again)); got.status != 403 {
		t.Errorf("old sign-in: got %d to %q, want it refused", got.status, got.location())
	}
	c.idp.SignIn(map[string]any{"upn": "adam@example.com", "auth_time": c.clock.Now().Unix()})
	if got := b.get(c.leave(b, again)); got.status != 303 || got.location() != "/admin/halt" {
		t.Fatalf("new sign-in: got %d to %q: %s", got.status, got.location(), got.text())
	}
	if got := b.get("/admin/halt"); got.status != 200 {
		t.Errorf("after it: got %d", got.status)
	}
}
