package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// TestA11_RoleLostIsRoleGone: what the session knew at sign-in does not count.
func TestA11_RoleLostIsRoleGone(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.add("adam", "Adam Min", "Adam", portal.Admin)
	b := p.signedIn("adam", linux)
	if got := b.get("/admin"); got.status != 200 {
		t.Fatalf("as administrator: got %d: %s", got.status, got.text())
	}
	moods := []struct {
		name   string
		err    error
		change func(*portal.Person)
		status int
	}{
		{"out of the group", nil, func(person *portal.Person) { person.Roles = nil }, 403},
		{"switched off", nil, func(person *portal.Person) { person.Disabled = true }, 403},
		{"run out", nil, func(person *portal.Person) { person.Expired = true }, 403},
		{"deleted", portal.ErrNotFound, nil, 403},
		{"directory down", errors.New("no answer"), nil, 503},
	}
	for _, m := range moods {
		t.Run(m.name, func(t *testing.T) {
			p.directory.set(m.err, m.change)
			for _, path := range []string{"/admin", "/admin/certificates", "/helpdesk", "/admin/audit", "/admin/halt"} {
				if got := b.get(path); got.status != m.status {
					t.Errorf("%s: got %d, want %d", path, got.status, m.status)
				}
			}
			if got := b.post("/admin/halt", "reason", "x"); got.status != m.status {
				t.Errorf("POST: got %d, want %d", got.status, m.status)
			}
			p.directory.set(nil, nil)
		})
	}
	if got := b.get("/admin"); got.status != 200 {
		t.Errorf("role back: got %d", got.status)
	}
	if got := p.entries(audit.IssuingHalted); got != 0 {
		t.Errorf("issuing was halted %d times", got)
	}
}

// TestA9_OldSignInChangesNothing: after a while staff can still read, but must sign in
// again to change something, and return to the form.
func TestA9_OldSignInChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.add("adam", "Adam Min", "Adam", portal.Admin)
	b := p.signedIn("adam", linux)
	p.clock.Advance(9 * time.Minute)
	if got := b.get("/admin/halt"); got.status != 200 {
		t.Fatalf("after nine minutes: got %d", got.status)
	}
	p.clock.Advance(2 * time.Minute)
	if got := b.get("/admin"); got.status != 200 {
		t.Errorf("reading after eleven minutes: got %d", got.status)
	}
	const again = "/login?next=%2Fadmin%2Fhalt"
	if got := b.get("/admin/halt"); got.status != 303 || got.location() != again {
		t.Errorf("form after eleven minutes: got %d to %q, want %q", got.status, got.location(), again)
	}
	got := b.do(http.MethodPost, "/admin/halt/resume", strings.NewReader(""),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", b.base, "Referer", b.base+"/admin/halt")
	if got.status != 303 || got.location() != again {
		t.Errorf("sent after eleven minutes: got %d to %q, want %q", got.status, got.location(), again)
	}
	got = b.do(http.MethodPost, "/admin/halt", strings.NewReader("reason=x"),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", b.base, "Referer", "https://evil.example/x")
	if got.status != 303 || got.location() != again {
		t.Errorf("with a foreign referrer: got %d to %q, want %q", got.status, got.location(), again)
	}
	if p.entries(audit.IssuingHalted) != 0 {
		t.Error("issuing was halted")
	}
	if got := b.get(again); got.status != 200 || got.id("username") == nil {
		t.Fatalf("sign-in page: got %d: %s", got.status, got.text())
	}
	if got := b.get(again).text(); !strings.Contains(got, "more than 10 minutes ago") || strings.Contains(got, "on your phone") {
		t.Errorf("the page does not say why: %s", got)
	}
	if got := b.post("/login", "username", "adam", "password", password, "next", "/admin/halt"); got.location() != "/admin/halt" {
		t.Errorf("after signing in: got %d to %q", got.status, got.location())
	}
	if got := b.get("/admin/halt"); got.status != 200 {
		t.Errorf("form: got %d", got.status)
	}
}

// TestStaffLinks: employees see none, and staff those that open.
func TestStaffLinks(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.add("audi", "Audi Tor", "Audi", portal.Auditor)
	tests := []struct {
		login, page   string
		shown, hidden []string
	}{
		{"anna", "/", nil, []string{`href="/helpdesk"`, `href="/admin"`}},
		{"hedi", "/helpdesk", []string{`href="/helpdesk"`}, []string{`href="/admin`}},
		{"audi", "/admin", []string{`href="/helpdesk"`, `href="/admin/audit"`, `href="/admin/checks"`}, []string{`href="/admin/halt"`}},
	}
	for _, tt := range tests {
		text := string(p.signedIn(tt.login, linux).get(tt.page).body)
		for _, link := range tt.shown {
			if !strings.Contains(text, link) {
				t.Errorf("%s: %s is missing", tt.login, link)
			}
		}
		for _, link := range tt.hidden {
			if strings.Contains(text, link) {
				t.Errorf("%s: %s is shown", tt.login, link)
			}
		}
	}
}
