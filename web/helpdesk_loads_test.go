package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"certportal/internal/portal"
)

// TestHelpdeskInFourPages: from the sign-in, which leads to the search, to the code.
func TestHelpdeskInFourPages(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.directory.set(nil, func(person *portal.Person) {
		if person.Login == "anna" {
			person.Phone, person.Manager = "+49 89 1234-77", "Ben Other"
		}
	})
	b := p.browser(linux)
	loads := 0
	load := func(path string) answer {
		t.Helper()
		got := b.get(path)
		for got.status == http.StatusSeeOther {
			got = b.get(got.location())
		}
		if loads++; got.status != http.StatusOK {
			t.Fatalf("%s: got %d: %s", path, got.status, got.text())
		}
		return got
	}
	in := b.post("/login", "username", "hedi", "password", password)
	if in.location() != "/helpdesk" {
		t.Errorf("the sign-in leads to %q", in.location())
	}
	load(in.location())
	person := load("/helpdesk?q=anna")
	for _, words := range []string{"Anna Muster", "+49 89 1234-77", "Ben Other", "anna@example.com"} {
		if !strings.Contains(person.text(), words) {
			t.Errorf("the person's page lacks %q: %s", words, person.text())
		}
	}
	if n := person.id("phone"); n == nil || attr(n.Parent, "href") != "tel:+4989123477" {
		t.Error("the telephone number cannot be called")
	}
	load(person.link("Give a pickup code"))
	made := b.post(annaPage+"/code", "checked", "called-back", "note", "", "purpose", "new", "device", "")
	if code := load(made.location()); code.id("pickup-code") == nil || loads != 4 {
		t.Errorf("got %d page loads, want the code on the fourth: %s", loads, code.text())
	}
}

// TestHelpdeskFormsNameAllMistakes at once.
func TestHelpdeskFormsNameAllMistakes(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	device := strings.TrimPrefix(p.signedIn("anna", iPhone).enrol("Phone", "ios"), "/devices/")
	hedi := p.signedIn("hedi", linux)
	got := hedi.post(annaPage+"/code", "checked", "", "note", strings.Repeat("x", 500), "purpose", "", "device", "")
	for _, id := range []string{"checked-error", "note-error", "purpose-error"} {
		if got.status != http.StatusUnprocessableEntity || got.id(id) == nil {
			t.Errorf("code: got %d without #%s", got.status, id)
		}
	}
	got = hedi.post(annaPage+"/devices/"+device+"/block", "reason", "", "checked", "", "note", "")
	for _, id := range []string{"checked-error", "reason-error"} {
		if got.status != http.StatusUnprocessableEntity || got.id(id) == nil {
			t.Errorf("block: got %d without #%s", got.status, id)
		}
	}
}

// TestHelpdeskSeesWhatMatters: looks at the page are not among the events, and what has
// expired offers nothing to block.
func TestHelpdeskSeesWhatMatters(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.signedIn("anna", iPhone).enrol("Phone", "ios")
	hedi := p.signedIn("hedi", linux)
	for range 12 {
		hedi.get(annaPage)
	}
	got := hedi.get(annaPage)
	_, events, _ := strings.Cut(got.text(), "Last events")
	if strings.Contains(events, "looked at") || !strings.Contains(events, "Phone") {
		t.Errorf("events: %s", events)
	}
	if got.link("Block on request") == "" {
		t.Errorf("a working device cannot be blocked: %s", got.text())
	}
	p.clock.Advance(3 * 366 * 24 * time.Hour)
	if got := p.signedIn("hedi", linux).get(annaPage); got.status != http.StatusOK || got.link("Block on request") != "" {
		t.Errorf("an expired device can be blocked: got %d: %s", got.status, got.text())
	}
}
