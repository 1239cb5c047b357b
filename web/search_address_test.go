package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"certportal/internal/portal"
)

// signInAt signs in on the page that a redirect led to, as a browser does.
func (b *browser) signInAt(address, login string) answer {
	b.t.Helper()
	form := b.get(address)
	if form.status != 200 {
		b.t.Fatalf("%s: got %d", address, form.status)
	}
	return b.post("/login", "username", login, "password", password, "next", form.value("next"))
}

// TestSearchSurvivesSignIn: the address of a search can be sent to a colleague, who signs
// in and sees that search; what no search knows is dropped.
func TestSearchSurvivesSignIn(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 60)
	long := strings.Repeat("愛", 60)
	for address, want := range map[string]string{
		"/admin/certificates?person=schm&status=revoked&evil=1": "/admin/certificates?person=schm&status=revoked",
		"/admin/devices?device=Phone&from=2026-01-02":           "/admin/devices?device=Phone&from=2026-01-02",
		"/admin/audit?action=enrolment.refused&person=anna&x=y": "/admin/audit?action=enrolment.refused&person=anna",
		"/helpdesk?q=anna+m":                                  "/helpdesk?q=anna+m",
		"/admin/certificates?device=a%0ab&person=b":           "/admin/certificates?person=b",
		"/admin/certificates?person=" + url.QueryEscape(long): "/admin/certificates?person=" + url.QueryEscape(long),
	} {
		b := p.browser(linux)
		first := b.get(address)
		if first.status != 303 || !strings.HasPrefix(first.location(), "/login?") {
			t.Fatalf("%s: got %d to %q", address, first.status, first.location())
		}
		got := b.signInAt(first.location(), "ada")
		if got.status != 303 || got.location() != want {
			t.Errorf("%s: the sign-in leads to %q, want %q", address, got.location(), want)
		}
		if got := b.get(got.location()); got.status != 200 && got.status != 303 { // a single hit of the helpdesk opens
			t.Errorf("%s: got %d", want, got.status)
		}
	}
}

// TestSearchSurvivesSigningInAgain: a changing page asks for the password after ten
// minutes, and keeps the search.
func TestSearchSurvivesSigningInAgain(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	b := p.signedIn("ada", linux)
	p.clock.Advance(11 * time.Minute)
	const search = "/admin/orders/new?person=schm&status=working"
	got := b.get(search)
	if got.status != 303 {
		t.Fatalf("got %d", got.status)
	}
	if form := b.get(got.location()); form.value("username") != "ada" {
		t.Errorf("the name has to be typed again: got %q", form.value("username"))
	}
	if got := b.signInAt(got.location(), "ada"); got.location() != search {
		t.Errorf("the sign-in leads to %q, want %q", got.location(), search)
	}
}

// sendLate sends a form that was opened in time after the sign-in became too old, and
// returns the sign-in page's address.
func (b *browser) sendLate(path string, fields ...string) string {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	got := b.do(http.MethodPost, path, strings.NewReader(values.Encode()), "Content-Type", "application/x-www-form-urlencoded",
		"Origin", b.base, "Sec-Fetch-Site", "same-origin", "Referer", b.base+path)
	if got.status != 303 || !strings.HasPrefix(got.location(), "/login?") {
		b.t.Fatalf("%s sent late: got %d to %q", path, got.status, got.location())
	}
	return got.location()
}

// TestTypedFieldsSurviveSigningInAgain: what was typed is in the form again, and nothing
// was done with it.
func TestTypedFieldsSurviveSigningInAgain(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	anna := p.signedIn("anna", iPhone)
	device := anna.enrol("Phone", "ios")
	id := strings.TrimPrefix(device, "/devices/")
	tests := []struct{ login, path, field, value string }{
		{"hedi", "/helpdesk/people/id-of-anna/code", "note", "badge 4711"},
		{"hedi", "/helpdesk/people/id-of-anna/devices/" + id + "/block", "note", "she phoned"},
		{"ada", "/admin/devices/" + id + "/revoke", "comment", `ticket "7"`},
		{"ada", "/admin/halt", "comment", "until noon"},
	}
	for _, tt := range tests {
		b := p.signedIn(tt.login, linux)
		p.clock.Advance(11 * time.Minute)
		before := p.log.String()
		login := b.sendLate(tt.path, tt.field, tt.value)
		got := b.signInAt(login, tt.login)
		if got.location() != tt.path {
			t.Errorf("%s: the sign-in leads to %q", tt.path, got.location())
		}
		form := b.get(tt.path)
		if form.value(tt.field) != tt.value || !strings.Contains(form.text(), "Nothing was sent yet") {
			t.Errorf("%s: got %q, want %q: %s", tt.path, form.value(tt.field), tt.value, form.text())
		}
		if again := b.get(tt.path); again.value(tt.field) != "" {
			t.Errorf("%s: it is there a second time: %q", tt.path, again.value(tt.field))
		}
		if strings.Contains(strings.TrimPrefix(p.log.String(), before), tt.value) {
			t.Errorf("%s: what was typed is in the log", tt.path)
		}
	}
	if n := p.certificates("anna")[portal.Issued]; n != 1 {
		t.Errorf("got %d working certificates, want 1: something was done", n)
	}
}

// TestA11_TypedFieldsAreTheSenders: a colleague who signs in instead does not get them.
func TestA11_TypedFieldsAreTheSenders(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	b := p.signedIn("ada", linux)
	p.clock.Advance(11 * time.Minute)
	login := b.sendLate("/admin/halt", "comment", "until noon")
	b.signInAt(login, "eve")
	if got := b.get("/admin/halt"); got.status != 200 || got.value("comment") != "" {
		t.Errorf("got %d with %q, want an empty form", got.status, got.value("comment"))
	}
}

// TestMistakeThenLateLeadsToAPage: a form that was shown again after a mistake has the
// address of its POST, which is no page.
func TestMistakeThenLateLeadsToAPage(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 30)
	b := p.signedIn("ada", linux)
	made := b.post("/admin/orders", "status", "working")
	if made.status != 303 {
		t.Fatalf("got %d: %s", made.status, made.text())
	}
	if err := p.admin.RunBulks(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.clock.Advance(11 * time.Minute)
	got := b.signInAt(b.sendLate(made.location()+"/confirm", "comment", "leavers", "count", "3"), "ada")
	if got.location() != made.location() {
		t.Errorf("the sign-in leads to %q, want %q", got.location(), made.location())
	}
	if form := b.get(got.location()); form.value("comment") != "leavers" || form.value("count") != "3" {
		t.Errorf("got %q and %q", form.value("comment"), form.value("count"))
	}
}
