package web_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web"
)

// faultyDirectory is the built-in directory with what others know besides: outages,
// refusals, and people who change.
type faultyDirectory struct {
	portal.Directory
	mu     sync.Mutex
	err    error                // of every call
	change func(*portal.Person) // applied to every person read
}

func (m *faultyDirectory) set(err error, change func(*portal.Person)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err, m.change = err, change
}

// apply asks the directory, which costs a password hash, unless every call fails.
func (m *faultyDirectory) apply(ask func() (portal.Person, error)) (portal.Person, error) {
	m.mu.Lock()
	fault, change := m.err, m.change
	m.mu.Unlock()
	if fault != nil {
		return portal.Person{}, fault
	}
	p, err := ask()
	if err == nil && change != nil {
		change(&p)
	}
	return p, err
}

func (m *faultyDirectory) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	return m.apply(func() (portal.Person, error) { return m.Directory.Authenticate(ctx, login, password) })
}

func (m *faultyDirectory) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	return m.apply(func() (portal.Person, error) { return m.Directory.Person(ctx, id) })
}

func (m *faultyDirectory) Match(ctx context.Context, claim portal.Claim) (portal.Person, error) {
	return m.apply(func() (portal.Person, error) { return m.Directory.Match(ctx, claim) })
}

// TestF7_PagesWithoutDirectory takes the directory away from people who are signed
// in: what needs no directory works on, what does says so and issues nothing.
func TestF7_PagesWithoutDirectory(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t)
	b := c.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	href, _ := b.download(device)
	back := c.browser(linux)
	callback := c.leave(back, "/login/sso")
	c.directory.set(errors.New("dial tcp 192.0.2.1:636: i/o timeout"), nil)
	reserved := c.entries(audit.CertificateReserved)

	for _, path := range []string{"/", device, device + "/install", device + "/remove", "/new?p=ios", "/new/platform",
		"/ca", "/ca/root.cer", "/crl/issuing.crl", "/help", href} {
		if got := b.get(path); got.status != 200 {
			t.Errorf("GET %s: got %d, want 200: %s", path, got.status, got.text())
		}
	}
	for _, path := range []string{"/login", "/help", "/ca"} {
		if got := c.browser(linux).get(path); got.status != 200 {
			t.Errorf("GET %s as a stranger: got %d, want 200", path, got.status)
		}
	}
	noIssue := func(got answer) {
		t.Helper()
		if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.text(), "Nothing was issued") {
			t.Errorf("got %d, want 503 and that nothing was issued: %s", got.status, got.text())
		}
	}
	enrolling := b.post("/new", "name", "Second", "platform", "ios", "request", "the-same")
	noIssue(enrolling)
	if enrolling.value("request") != "the-same" {
		t.Error("trying again would send another form")
	}
	noIssue(b.post(device+"/install", "request", "again"))
	for name, got := range map[string]answer{
		"password": c.browser(iPhone).post("/login", "username", "anna", "password", password),
		"provider": back.get(callback),
	} {
		if got.status != 503 || !strings.Contains(got.text(), "It is not your password.") {
			t.Errorf("signing in by %s: got %d: %s", name, got.status, got.text())
		}
		if strings.Contains(got.text(), "192.0.2.1") {
			t.Errorf("signing in by %s: the page tells the cause", name)
		}
	}
	if got := c.entries(audit.CertificateReserved); got != reserved {
		t.Errorf("got %d serials reserved, want %d", got, reserved)
	}
	if got := b.post(device + "/remove"); got.status != 303 {
		t.Errorf("removing: got %d, want 303", got.status)
	}
	if got := b.post("/logout"); got.status != 303 {
		t.Errorf("signing out: got %d, want 303", got.status)
	}
}

// TestA3_A5_RefusedAtIssue shows the page of each refusal of the registrar.
func TestA3_A5_RefusedAtIssue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*portal.Person)
		status int
		words  string
	}{
		{"protected", func(p *portal.Person) { p.Protected = true }, 403, "It has administrator rights"},
		{"conflict", func(p *portal.Person) { p.Conflict = portal.UPNTaken }, 409, "could be taken for each other"},
		{"disabled", func(p *portal.Person) { p.Disabled = true }, 403, "switched off"},
		{"expired", func(p *portal.Person) { p.Expired = true }, 403, "has run out"},
		{"locked", func(p *portal.Person) { p.Locked = true }, 423, "Your work account is locked"},
		{"not in the group", func(p *portal.Person) { p.MayEnroll = false }, 403, "not in the group"},
		{"no UPN", func(p *portal.Person) { p.UPN = "" }, 403, "user principal name is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t)
			b := p.signedIn("anna", iPhone)
			p.directory.set(nil, tt.change)
			got := b.post("/new", "name", "Anna's iPhone", "platform", "ios", "request", "x")
			if got.status != tt.status || !strings.Contains(got.text(), tt.words) {
				t.Errorf("got %d, want %d with %q: %s", got.status, tt.status, tt.words, got.text())
			}
			if !strings.Contains(got.text(), got.header.Get("X-Request-Id")) {
				t.Error("the page does not name the reference")
			}
			if strings.Contains(got.text(), string(portal.UPNTaken)) {
				t.Error("the page tells what the administrators are told")
			}
			if n := p.entries(audit.CertificateReserved); n != 0 {
				t.Errorf("got %d serials, want none", n)
			}
		})
	}
}

// TestA5_NoSID is the refusal of an entry without objectSid.
func TestA5_NoSID(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	p.directory.set(&portal.Refusal{Reason: portal.NoSID}, nil)
	got := b.post("/new", "name", "Anna's iPhone", "platform", "ios", "request", "x")
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text(), "(SID) is missing") {
		t.Errorf("got %d, want 422: %s", got.status, got.text())
	}
}

// TestSignInRefusals shows what the right password brings when the directory still
// says no.
func TestSignInRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		reason portal.Reason
		status int
		words  string
	}{
		{portal.Restricted, 403, "may not sign in from here, or not at this hour"},
		{portal.PasswordOld, 403, "Your work password has run out"},
		{portal.Locked, 423, "Your work account is locked"},
		{portal.Disabled, 403, "switched off"},
		{portal.Expired, 403, "end date"},
	}
	for _, tt := range tests {
		t.Run(string(tt.reason), func(t *testing.T) {
			p := newPortal(t)
			p.directory.set(&portal.Refusal{Reason: tt.reason}, nil)
			b := p.browser(iPhone)
			got := b.post("/login", "username", "anna", "password", password)
			if got.status != tt.status || !strings.Contains(got.text(), tt.words) || b.cookie(sessionCookie) != "" {
				t.Errorf("got %d, want %d with %q: %s", got.status, tt.status, tt.words, got.text())
			}
		})
	}
}

// TestA8_NetworkPaused guesses one password for many accounts.
func TestA8_NetworkPaused(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.browser(iPhone)
	p.directory.set(portal.ErrCredentials, nil)
	for i := range signin.DefaultAddressTries {
		name := strings.Repeat("x", 1+i%9) + string(rune('a'+i/9))
		if got := b.post("/login", "username", name, "password", "Winter2026!"); got.status != 401 {
			t.Fatalf("try %d: got %d, want 401", i+1, got.status)
		}
	}
	p.directory.set(nil, nil)
	got := b.post("/login", "username", "anna", "password", password)
	if got.status != 429 || got.header.Get("Retry-After") == "" ||
		!strings.Contains(got.text(), "from your network") || !strings.Contains(got.text(), "does not lock your work account") {
		t.Errorf("got %d: %s", got.status, got.text())
	}
}

// TestA8_CountedDown: the countdown of tries mentions a possible lockout, for known
// and unknown accounts alike.
func TestA8_CountedDown(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	known := p.browser(iPhone).post("/login", "username", "anna", "password", "wrong")
	unknown := p.browser(iPhone).post("/login", "username", "nobody", "password", "wrong")
	for name, got := range map[string]answer{"known": known, "unknown": unknown} {
		if got.status != 401 || !strings.Contains(got.text(), "your work account may be locked") {
			t.Errorf("%s: got %d: %s", name, got.status, got.text())
		}
	}
	if a, b := len(known.body)-len("anna"), len(unknown.body)-len("nobody"); a != b {
		t.Errorf("the pages differ: %d and %d bytes beside the name", a, b)
	}
}

// TestOutdatedCertificate follows a certificate whose person was renamed to the one
// that carries the new name.
func TestOutdatedCertificate(t *testing.T) {
	t.Parallel()
	const notice = "Your work name has changed."
	for _, change := range []portal.Change{portal.UPNChanged, portal.SIDChanged} {
		t.Run(string(change), func(t *testing.T) {
			f := newFile(t, "ios")
			f.anonymous.get(f.href)
			if got := f.owner.get("/"); strings.Contains(got.text(), notice) {
				t.Fatalf("before: %s", got.text())
			}
			mark(t, f, change)
			for _, path := range []string{"/", f.device} {
				if got := f.owner.get(path); got.status != 200 || !strings.Contains(got.text(), notice) {
					t.Errorf("%s: got %d: %s", path, got.status, got.text())
				}
			}
			for _, path := range []string{f.device, f.device + "/renew"} {
				got := f.owner.get(path + "?lang=en")
				if got.status != 200 || strings.Contains(got.text(), "keeps working") || strings.Contains(got.text(), "works on for") ||
					!strings.Contains(got.text(), "services may refuse it") {
					t.Errorf("%s promises that the old one works: got %d: %s", path, got.status, got.text())
				}
			}
			if got := f.owner.post(f.device+"/renew", "request", "renewed"); got.status != 303 {
				t.Fatalf("renewal: got %d: %s", got.status, got.text())
			}
			for _, path := range []string{"/", f.device, f.device + "/install"} {
				got := f.owner.get(path + "?lang=en")
				if strings.Contains(got.text(), "still works") || strings.Contains(got.text(), "certificate works until") ||
					path != "/" && !strings.Contains(got.text(), "services may refuse it") {
					t.Errorf("%s promises that the one before works: %s", path, got.text())
				}
			}
			if got := f.owner.post(f.device+"/install", "request", "new"); got.status != 303 {
				t.Fatalf("new file: got %d: %s", got.status, got.text())
			}
			for _, path := range []string{"/", f.device} {
				if got := f.owner.get(path); strings.Contains(got.text(), notice) {
					t.Errorf("%s with the new certificate: %s", path, got.text())
				}
			}
		})
	}
}

// mark marks the file's certificate as the drift watch does.
func mark(t *testing.T, f file, change portal.Change) {
	t.Helper()
	c := f.certificate()
	set, _, err := f.db.UpdateMismatches(t.Context(), drift.MismatchUpdate{
		Person: "id-of-anna", At: f.clock.Now(),
		Certificates: []drift.Certificate{{
			Serial: c.Serial, UPN: c.UPN, SID: c.SID, Mismatches: []drift.Mismatch{{Change: change, Since: f.clock.Now()}},
		}},
		Entry: audit.Entry{At: f.clock.Now(), Actor: "system", Role: "system"},
	})
	if err != nil || set != 1 {
		t.Fatalf("got %d marks, %v", set, err)
	}
}

// TestA16_HeadersWithSSO asks for the addresses of a portal with a provider. The
// answer of the provider has a stricter Referrer-Policy: its address is a secret.
func TestA16_HeadersWithSSO(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t, func(c *web.Config) { c.SSO.Name = "Corp" })
	for _, path := range []string{"/login", "/login/sso", web.CallbackPath, web.CallbackPath + "?code=x", web.CallbackPath + "?error=x"} {
		got := c.browser(linux).get(path)
		if strings.HasPrefix(path, web.CallbackPath) {
			if policy := got.header.Get("Referrer-Policy"); policy != "strict-origin" {
				t.Errorf("%s: Referrer-Policy: got %q", path, policy)
			}
			got.header.Set("Referrer-Policy", "same-origin")
		}
		checkHeaders(t, path, got)
	}
	// The time of the start is in the cookie, not in the address.
	first := c.browser(linux).get("/login/sso").location()
	c.clock.Advance(time.Minute)
	if second := c.browser(linux).get("/login/sso").location(); first == second {
		t.Error("two sign-ins share their state")
	}
}
