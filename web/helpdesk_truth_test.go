package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"certportal/internal/helpdesk"
	"certportal/web"
)

// TestA8_GuessIsListedAsAStrangers: the person's page lists a stranger's wrong password,
// and does not say that the person did it.
func TestA8_GuessIsListedAsAStrangers(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	hedi := p.signedIn("hedi", linux)
	if got := hedi.get(annaPage).text(); !strings.Contains(got, "Nothing failed that the portal knows of.") || strings.Contains(got, "not kept under a name") {
		t.Errorf("before: %s", got)
	}
	if got := p.browser(linux).post("/login", "username", "anna", "password", "wrong"); got.status != http.StatusUnauthorized {
		t.Fatalf("wrong password: got %d", got.status)
	}
	_, failed, _ := strings.Cut(hedi.get(annaPage).text(), "What did not work")
	failed, _, _ = strings.Cut(failed, "Last events")
	if !strings.Contains(failed, "Wrong username or password") || !strings.Contains(failed, "somebody who was not signed in") || strings.Contains(failed, "the person") {
		t.Errorf("after: %s", failed)
	}
}

// TestCodePageNamesTheAddress: without mail nothing else says where the code is entered.
func TestCodePageNamesTheAddress(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	hedi := p.signedIn("hedi", linux)
	made := hedi.post(annaPage+"/code", "checked", "in-person", "note", "", "purpose", "new", "device", "")
	if made.status != http.StatusSeeOther {
		t.Fatalf("got %d: %s", made.status, made.text())
	}
	want := "open " + strings.TrimPrefix(p.https.URL, "https://") + "/pickup"
	if got := hedi.get(made.location()).text(); !strings.Contains(got, want) {
		t.Errorf("the page does not say %q: %s", want, got)
	}
}

// TestAdministratorAboveTheNumberIsSentOn: a helpdesk page that may not block leads an
// administrator to the page where another one approves.
func TestAdministratorAboveTheNumberIsSentOn(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.reopen(func(c *web.Config) {
		c.Helpdesk = p.newHelpdesk(c.SignIn, func(h *helpdesk.Config) { h.SecondPerson = 1 })
	})
	anna, ada := p.signedIn("anna", iPhone), p.signedIn("ada", linux)
	var last answer
	var id string
	for i := range 2 {
		id = strings.TrimPrefix(anna.enrol(fmt.Sprint("Phone ", i), "ios"), "/devices/")
		last = ada.post(annaPage+"/devices/"+id+"/block", "reason", "lost", "checked", "in-person", "note", "")
		anna = p.signedIn("anna", iPhone) // blocking a lost device signed her out
	}
	page := "/admin/devices/" + id + "/revoke"
	if last.status != http.StatusConflict || last.link("To the administrator’s page") != page || strings.Contains(last.text(), "ask a colleague") {
		t.Errorf("got %d: %s", last.status, last.text())
	}
	if got := ada.get(page); got.status != http.StatusOK {
		t.Errorf("%s: got %d", page, got.status)
	}
}
