package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/signin"
)

const knownCookie = "__Host-known"

// forget drops a cookie.
func (b *browser) forget(name string) {
	b.t.Helper()
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Path: "/", Secure: true, MaxAge: -1}})
}

// guessed is a stranger's browser that used up the tries of an account.
func (p *testPortal) guessed(login string) *browser {
	p.t.Helper()
	b := p.browser(linux)
	for range signin.DefaultTries {
		if got := b.post("/login", "username", login, "password", "wrong"); got.status != 401 {
			p.t.Fatalf("guess: got %d", got.status)
		}
	}
	if got := b.post("/login", "username", login, "password", password); got.status != 429 {
		p.t.Fatalf("after the guesses: got %d, want a pause", got.status)
	}
	return b
}

// TestA8_LostDeviceDespiteAStranger has a thief of a phone guess the owner's password,
// and the owner report the phone from a browser that she used before.
func TestA8_LostDeviceDespiteAStranger(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	own := p.signedIn("anna", linux)
	path := own.enrol("Phone", "android")
	if got := own.post("/logout"); got.status != 303 || own.cookie(sessionCookie) != "" || own.cookie(knownCookie) == "" {
		t.Fatalf("signing out: got %d", got.status)
	}
	p.guessed("anna")
	if got := own.post("/login", "username", "anna", "password", password); got.status != 303 {
		t.Fatalf("own browser: got %d: %s", got.status, got.text())
	}
	if got := own.post(path+"/lost", "reason", "lost"); got.status != 303 {
		t.Errorf("reporting the loss: got %d", got.status)
	}
}

// TestA8_AdministratorIsAskedAgainDespiteAStranger has an administrator prove the
// password again, as staff must after ten minutes, while a stranger guesses.
func TestA8_AdministratorIsAskedAgainDespiteAStranger(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.add("root", "Root Muster", "Root", portal.Admin)
	admin := p.signedIn("root", linux)
	admin.forget(knownCookie) // the session alone is enough
	stranger := p.guessed("root")
	p.clock.Advance(11 * time.Minute)
	if got := stranger.post("/login", "username", "root", "password", password); got.status != 429 {
		t.Fatalf("stranger: got %d, want the pause", got.status)
	}
	for range signin.SessionTries - 1 {
		if got := admin.post("/login", "username", "root", "password", "wrong", "next", "/admin/halt"); got.status != 401 {
			t.Fatalf("mistake: got %d", got.status)
		}
	}
	got := admin.post("/login", "username", "root", "password", password, "next", "/admin/halt")
	if got.status != 303 || got.location() != "/admin/halt" {
		t.Errorf("right password: got %d to %q: %s", got.status, got.location(), got.text())
	}
}

// TestA8_CountdownIsTrue gives wrong passwords in a browser that has tries of its own and
// then those of strangers: what the page says is left is left, and the pause is stated
// when it begins.
func TestA8_CountdownIsTrue(t *testing.T) {
	t.Parallel()
	for used := range 3 {
		t.Run(fmt.Sprint(used, " tries of strangers"), func(t *testing.T) {
			t.Parallel()
			p := newPortal(t)
			own, stranger := p.signedIn("anna", linux), p.browser(linux)
			own.post("/logout")
			for range used {
				stranger.post("/login", "username", "anna", "password", "wrong")
			}
			left := 2*signin.DefaultTries - used // under the cookie, then as a stranger
			for left > 0 {
				got := own.post("/login", "username", "anna", "password", "wrong")
				left--
				words := ""
				switch left {
				case 2:
					words = "You have 2 tries left before a 15-minute pause."
				case 1:
					words = "You have 1 try left before a 15-minute pause."
				case 0:
					words = "You have no tries left. Signing in to this account is paused here for 15 minutes."
				}
				said := strings.Contains(got.text(), "left")
				if got.status != 401 || said != (words != "") || !strings.Contains(got.text(), words) {
					t.Errorf("%d left: got %d, want %q: %s", left, got.status, words, got.text())
				}
			}
			if got := own.post("/login", "username", "anna", "password", password); got.status != 429 {
				t.Errorf("with none left: got %d, want the pause", got.status)
			}
			p.clock.Advance(signin.DefaultWindow)
			if got := own.post("/login", "username", "anna", "password", password); got.status != 303 {
				t.Errorf("after the pause: got %d, want 303", got.status)
			}
		})
	}
}

// TestA8_KnownCookie looks at the cookie and at when it is set.
func TestA8_KnownCookie(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.browser(iPhone)
	b.get("/login")
	b.post("/login", "username", "anna", "password", "wrong")
	if b.cookie(knownCookie) != "" {
		t.Error("set before a right password")
	}
	got := b.post("/login", "username", "anna", "password", password)
	var set *http.Cookie
	for _, line := range got.header.Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == knownCookie {
			set = c
		}
	}
	if set == nil || !set.Secure || !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/" ||
		set.Domain != "" || set.MaxAge != int(signin.KnownLife.Seconds()) {
		t.Errorf("cookie %+v", set)
	}
	first := b.cookie(knownCookie)
	if b.post("/login", "username", "anna", "password", password); b.cookie(knownCookie) == first {
		t.Error("the cookie is not renewed")
	}
}

// TestA8_FloodFromTheOffice sends more sign-ins from one address than it may, and more
// than the portal judges; all browsers of this test share the address.
func TestA8_FloodFromTheOffice(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	own, flood := p.signedIn("anna", linux), p.browser(linux)
	own.post("/logout")
	seen := map[int]int{}
	p.directory.set(portal.ErrCredentials, nil)
	for n := range 300 {
		seen[flood.post("/login", "username", fmt.Sprint("made-up-", n), "password", "Spring2026!").status]++
	}
	p.directory.set(nil, nil)
	if seen[401] != signin.DefaultAddressTries || seen[429] != 300-signin.DefaultAddressTries {
		t.Errorf("answers to the flood: %v", seen)
	}
	if got := own.post("/login", "username", "anna", "password", password); got.status != 303 {
		t.Errorf("known browser: got %d: %s", got.status, got.text())
	}
	got := p.browser(linux).post("/login", "username", "ben", "password", password)
	if got.status != 429 || got.header.Get("Retry-After") == "" || !strings.Contains(got.text(), "Too many") {
		t.Errorf("another browser: got %d: %s", got.status, got.text())
	}
}
