package web_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

// TestA18_HiddenCharactersOfTheDirectory: staff see what a name is made of, on pages
// and in exports; letters written from right to left stay as they are.
func TestA18_HiddenCharactersOfTheDirectory(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	const name, shown = "Mallory\u202eelbatsnoc\u2069\u200b\u2028", `Mallory\u202eelbatsnoc\u2069\u200b\u2028`
	const hebrew, arabic = "שרה כהן", "محمد الأحمد"
	p.add("mallory", name, name)
	p.add("sara", hebrew, hebrew)
	p.add("mohammed", arabic, arabic)
	for _, login := range []string{"mallory", "sara", "mohammed"} {
		p.signedIn(login, iPhone).enrol("Phone of "+login, "ios")
	}
	p.add("malte", "Malte Other", "Malte") // a single hit would open
	hedi, ada := p.signedIn("hedi", linux), p.signedIn("ada", linux)
	const person = "/helpdesk/people/id-of-mallory"
	pages := map[string]answer{
		"search":                 hedi.get("/helpdesk?q=" + url.QueryEscape("mal")),
		"person":                 hedi.get(person),
		"code":                   hedi.get(person + "/code"),
		"certificates":           ada.get("/admin/certificates"),
		"devices":                ada.get("/admin/devices"),
		"export of certificates": ada.post("/admin/export/certificates"),
		"export of devices":      ada.post("/admin/export/devices"),
	}
	for what, got := range pages {
		if got.status != 200 || !bytes.Contains(got.body, []byte(shown)) || bytes.ContainsRune(got.body, '\u202e') {
			t.Errorf("%s: got %d, want %s in it", what, got.status, shown)
		}
	}
	for login, name := range map[string]string{"sara": hebrew, "mohammed": arabic} {
		if got := hedi.get("/helpdesk/people/id-of-" + login); !strings.Contains(got.text(), name) {
			t.Errorf("%s: %q is not on the page", login, name)
		}
	}
}

// TestA18_HiddenCharactersInTheAuditLog looks at values that are not of a person.
func TestA18_HiddenCharactersInTheAuditLog(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.signedIn("ben", iPhone).enrol("Ben\u2067s phone", "ios")
	ada := p.signedIn("ada", linux)
	reason := "moved\u202e\u200b"
	if got := ada.post("/admin/halt", "comment", reason); got.status != 303 {
		t.Fatalf("halting: got %d: %s", got.status, got.text())
	}
	for what, got := range map[string]answer{
		"page": ada.get("/admin/audit?detail=on"), "export": ada.post("/admin/export/audit"),
	} {
		if !bytes.Contains(got.body, []byte(`moved\u202e\u200b`)) || bytes.ContainsAny(got.body, "\u202e\u200b\u2067") {
			t.Errorf("%s: got %d, want the escape of the reason", what, got.status)
		}
	}
}
