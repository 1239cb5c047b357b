package web_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// idleOver is longer than a session lasts without use.
const idleOver = 16 * time.Minute

// TestA11_TypedFieldsSurviveTheSession: a form that was sent after the session had timed
// out comes back filled in after the sign-in of the same person, once, and is not sent.
func TestA11_TypedFieldsSurviveTheSession(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	device := p.signedIn("anna", iPhone).enrol("Phone", "ios")
	tests := []struct {
		login, path string
		fields      []string
		field, want string
	}{
		{"ben", "/new", []string{"name", `Ben's "7"`, "platform", "android", "request", "abc"}, "name", `Ben's "7"`},
		{"anna", device + "/rename", []string{"name", "旅行手机"}, "name", "旅行手机"},
		{"hedi", "/helpdesk/people/id-of-anna/code", []string{"checked", "in-person", "note", "badge 4711"}, "note", "badge 4711"},
		{"hedi", "/helpdesk/people/id-of-anna" + device + "/block", []string{"note", "she phoned"}, "note", "she phoned"},
		{"ada", "/admin" + device + "/revoke", []string{"comment", "ticket <7>"}, "comment", "ticket <7>"},
		{"ada", "/admin/halt", []string{"comment", "until noon"}, "comment", "until noon"},
	}
	for _, tt := range tests {
		b := p.signedIn(tt.login, linux)
		p.clock.Advance(idleOver)
		before := p.log.String()
		login := b.sendLate(tt.path, tt.fields...)
		if got := b.get(login).text(); !strings.Contains(got, "nothing happened for 15 minutes") || strings.Contains(got, tt.want) {
			t.Errorf("%s: the sign-in page: %s", tt.path, got)
		}
		if got := b.signInAt(login, tt.login); got.location() != tt.path {
			t.Errorf("%s: the sign-in leads to %q", tt.path, got.location())
		}
		form := b.get(tt.path)
		if form.value(tt.field) != tt.want || !strings.Contains(form.text(), "Nothing was sent yet") {
			t.Errorf("%s: got %q, want %q: %s", tt.path, form.value(tt.field), tt.want, form.text())
		}
		if again := b.get(tt.path); again.value(tt.field) == tt.want {
			t.Errorf("%s: it is there a second time", tt.path)
		}
		if strings.Contains(strings.TrimPrefix(p.log.String(), before), tt.want) {
			t.Errorf("%s: what was typed is in the log", tt.path)
		}
	}
	if n := len(testkit.Must(p.db.Devices(t.Context(), "id-of-ben"))(t)); n != 0 {
		t.Errorf("Ben has %d devices: something was sent", n)
	}
	if n := p.certificates("anna")[portal.Issued]; n != 1 {
		t.Errorf("Anna has %d working certificates, want 1: something was done", n)
	}
}

// TestA11_LostReasonSurvivesTheSession: the reason that was chosen is chosen again.
func TestA11_LostReasonSurvivesTheSession(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	path := b.enrol("Phone", "ios") + "/lost"
	p.clock.Advance(idleOver)
	b.signInAt(b.sendLate(path, "reason", "returned"), "anna")
	got := b.get(path)
	if body := string(got.body); !strings.Contains(body, `value="returned" checked`) || strings.Contains(body, `value="lost" checked`) {
		t.Errorf("got %s", body)
	}
}

// TestA11_TypedFieldsOfAnEndedSession tries each way to have a form shown to another
// person, kept too long, or kept at all where it must not be.
func TestA11_TypedFieldsOfAnEndedSession(t *testing.T) {
	t.Parallel()
	const note = "she has bitten the postman"
	tests := []struct {
		name   string
		before func(p *testPortal, b *browser) // the form is sent
		after  func(p *testPortal)             // it was
		value  string
		login  string
		want   string
	}{
		{"the sender", nil, nil, note, "hedi", note},
		{"a colleague signs in instead", nil, nil, note, "ada", ""},
		{"the row names the colleague", nil, func(p *testPortal) { p.sql("UPDATE sessions SET person = 'id-of-ada'") }, note, "ada", ""},
		{"another row's values", nil, func(p *testPortal) {
			p.signedIn("ada", linux)
			p.sql("UPDATE sessions SET data = (SELECT data FROM sessions WHERE person = 'id-of-ada') WHERE person = 'id-of-hedi'")
		}, note, "ada", ""},
		{"too late", nil, func(p *testPortal) { p.clock.Advance(11 * time.Minute) }, note, "hedi", ""},
		{"too long", nil, nil, strings.Repeat("x", 5000), "hedi", ""},
		{"the session was ended", func(p *testPortal, b *browser) {
			testkit.Must(p.db.EndSessions(p.t.Context(), "id-of-hedi"))(p.t)
		}, nil, note, "hedi", ""},
		{"the session is none of this portal", func(p *testPortal, b *browser) {
			b.set(sessionCookie, "Zm9yZ2VkZm9yZ2VkZm9yZ2VkZm9yZ2VkZm9yZ2VkMDE")
		}, nil, note, "hedi", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newStaffPortal(t, 0)
			p.signedIn("anna", iPhone).enrol("Phone", "ios")
			const path = "/helpdesk/people/id-of-anna/code"
			b := p.signedIn("hedi", linux)
			p.clock.Advance(idleOver)
			if tt.before != nil {
				tt.before(p, b)
			}
			login := b.sendLate(path, "note", tt.value)
			if tt.after != nil {
				tt.after(p)
			}
			b.signInAt(login, tt.login)
			got := b.get(path)
			if got.status != 200 || got.value("note") != tt.want {
				t.Errorf("got %d with %q, want %q", got.status, got.value("note"), tt.want)
			}
			if tt.login == "hedi" {
				return
			}
			b.signInAgain("hedi")
			if got := b.get(path).value("note"); got != "" {
				t.Errorf("afterwards its sender finds %q: the colleague's sign-in did not end it", got)
			}
		})
	}
}

// TestA16_LateFormsWithSecretsAreNotKept: what may hold a key is typed again.
func TestA16_LateFormsWithSecretsAreNotKept(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	p.clock.Advance(idleOver)
	login := b.sendLate("/new/key", "name", "Server", "platform", "linux", "csr", "-----BEGIN PRIVATE KEY-----", "request", "abc")
	b.signInAt(login, "anna")
	for _, path := range []string{"/new/key", "/new"} {
		got := b.get(path)
		if strings.Contains(string(got.body), "PRIVATE KEY") || strings.Contains(got.text(), "Nothing was sent yet") {
			t.Errorf("%s: got %s", path, got.text())
		}
	}
}

// TestSignInPageSaysWhyTheSessionIsOver: for the other browsers of a person who reported a
// device lost the reason is that, not that nothing happened.
func TestSignInPageSaysWhyTheSessionIsOver(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	phone := p.signedIn("anna", iPhone)
	device := phone.enrol("Phone", "ios")
	laptop, tablet, other := p.signedIn("anna", linux), p.signedIn("anna", linux), p.signedIn("ben", linux)
	const lost, idle, over = "one of your devices was reported lost", "nothing happened for 15 minutes", "Your sign-in has ended."
	want := func(b *browser, words ...string) {
		t.Helper()
		got := b.get("/login").text()
		for _, text := range []string{lost, idle, over} {
			shown := len(words) > 0 && words[0] == text
			if strings.Contains(got, text) != shown {
				t.Errorf("the page says %q: %v, want %v", text, !shown, shown)
			}
		}
	}
	want(p.browser(linux))
	tablet.post("/logout")
	want(tablet) // it has no cookie any more
	phone.post(device+"/lost", "reason", "lost")
	want(laptop, lost)
	testkit.Must(p.db.EndSessions(t.Context(), "id-of-ben"))(t)
	want(other, over)
	ben := p.signedIn("ben", linux)
	p.clock.Advance(idleOver)
	want(ben, idle)
	if got := laptop.signInAt("/login", "anna"); got.status != 303 {
		t.Fatalf("got %d", got.status)
	}
	p.clock.Advance(idleOver)
	want(laptop, idle)
}
