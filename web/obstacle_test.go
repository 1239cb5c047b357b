package web_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestA11_PagesPromiseNothingInVain: people who cannot have a certificate read why and
// what to do, on every page that would lead to one, and find no form. The first cases are
// states of the account that may come about while a session is open.
func TestA11_PagesPromiseNothingInVain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*portal.Person)
		status int
		why    string
		do     string
	}{
		{"group", func(p *portal.Person) { p.MayEnroll = false }, 403, "not in the group", "helpdesk to add you"},
		{"protected", func(p *portal.Person) { p.Protected = true }, 403, "has administrator rights", "ordinary work account"},
		{"suffix", func(p *portal.Person) { p.Conflict = portal.UPNSuffix }, 403, "ends in @example.com", "Tell the helpdesk"},
		{"conflict", func(p *portal.Person) { p.Conflict = "upn" }, 409, "could be taken for each other", "Only the helpdesk"},
		{"no UPN", func(p *portal.Person) { p.UPN = "" }, 403, "lacks a name", "Tell the helpdesk"},
		{"identity", func(p *portal.Person) { p.UPN = "no name of an account" }, 403, "cannot stand in a certificate", "Ask the helpdesk"},
		{"disabled", func(p *portal.Person) { p.Disabled = true }, 403, "may not be used", "Ask the helpdesk"},
	}
	f := newFile(t, "ios")
	f.anonymous.get(f.href)
	f.clock.Advance(enroll.PasswordLife)
	anna, ben := f.signedIn("anna", iPhone), f.signedIn("ben", linux)
	refusals := f.entries(audit.EnrolmentRefused)
	for _, tt := range tests {
		f.directory.set(nil, tt.change)
		for _, path := range []string{"/", f.device, f.device + "/install"} {
			got := anna.get(path + "?lang=en")
			if got.status != 200 || !says(got, tt.why, tt.do) || got.node(leadsToCertificate) != nil {
				t.Errorf("%s, %s: got %d: %s", tt.name, path, got.status, got.text())
			}
		}
		if got := ben.get("/?lang=en"); !says(got, tt.why, tt.do) || got.node(leadsToCertificate) != nil || strings.Contains(got.text(), "Get your") {
			t.Errorf("%s, a home without devices: %s", tt.name, got.text())
		}
		for _, path := range []string{"/new", "/new?p=ios", "/new/platform", "/new/key?p=linux", "/handoff"} {
			if got := ben.get(path); got.status != tt.status || !says(got, tt.why, tt.do) || got.node(leadsToCertificate) != nil {
				t.Errorf("%s, %s: got %d: %s", tt.name, path, got.status, got.text())
			}
		}
		if got := ben.post("/handoff"); got.status != tt.status || !says(got, tt.why) {
			t.Errorf("%s, a code for a phone: got %d: %s", tt.name, got.status, got.text())
		}
	}
	if got := f.entries(audit.EnrolmentRefused); got != refusals {
		t.Errorf("looking at pages left %d entries of refusals", got-refusals)
	}
	f.directory.set(nil, nil)
	if got := anna.get("/"); got.node(leadsToCertificate) == nil {
		t.Errorf("in order again: %s", got.text())
	}
	f.directory.set(errors.New("no answer"), nil)
	if got := ben.get("/"); got.status != 200 || got.node(leadsToCertificate) == nil {
		t.Errorf("a directory that does not answer is no refusal: got %d: %s", got.status, got.text())
	}
}

func says(a answer, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(a.text(), w) {
			return false
		}
	}
	return true
}

// leadsToCertificate finds links and forms that lead to a certificate.
func leadsToCertificate(n *html.Node) bool {
	to := attr(n, "href")
	if n.Data == "form" {
		to = attr(n, "action")
	}
	return to == "/new" || to == "/new/key" || to == "/handoff" ||
		strings.HasSuffix(to, "/renew") || strings.HasSuffix(to, "/newfile") || n.Data == "form" && strings.HasSuffix(to, "/install")
}

// TestPagesKnowTheHaltAndTheQuota: the switch of the administrators, and what a person can mend.
func TestPagesKnowTheHaltAndTheQuota(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		b.enrol(name, "linux")
	}
	home := b.get("/?lang=en")
	if !says(home, "You have reached 5 devices", "Remove one you no longer use") || home.node(withAction("/handoff")) != nil {
		t.Errorf("full quota: %s", home.text())
	}
	if got := b.post("/handoff"); got.status != 409 || !says(got, "You have reached 5 devices") {
		t.Errorf("a code for a sixth device: got %d: %s", got.status, got.text())
	}
	ben := p.signedIn("ben", iPhone)
	entry := audit.Entry{At: p.clock.Now(), Action: audit.IssuingHalted, Actor: "ada", Role: "admin"}
	halt := admin.Halt{Reason: "Back at ten.", Actor: "ada", Since: p.clock.Now()}
	testkit.Must(p.db.SetHalt(t.Context(), halt, entry))(t)
	if got := ben.get("/?lang=en"); got.status != 200 || !says(got, "makes no certificates right now", "Back at ten.") || got.node(leadsToCertificate) != nil {
		t.Errorf("halted: got %d: %s", got.status, got.text())
	}
	if got := ben.get("/new"); got.status != 503 || !says(got, "Back at ten.") {
		t.Errorf("halted, the form: got %d: %s", got.status, got.text())
	}
}
