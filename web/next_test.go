package web_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// TestA16_NextIsNotRepeated: what a link may choose freely is on no page but the
// sign-in page, least of all beside an install password or a code.
func TestA16_NextIsNotRepeated(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	anna, hedi := p.signedIn("anna", iPhone), p.signedIn("hedi", linux)
	device := anna.enrol("Phone", "ios")
	anna.offer()
	const next = "?next=%2Fneedle-in-next"
	pages := 0
	for _, r := range p.routes() {
		if r.method != http.MethodGet || strings.HasPrefix(r.pattern, "/login") {
			continue
		}
		for _, b := range []*browser{anna, hedi, p.browser(iPhone)} {
			got := b.get(r.path(device) + next)
			if got.status < 300 && strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
				pages++
			}
			if bytes.Contains(got.body, []byte("needle-in-next")) {
				t.Errorf("%s repeats next", r.pattern)
			}
		}
	}
	for path, id := range map[string]string{"/handoff": "handoff-code", device + "/install": "install-password"} {
		if got := anna.get(path + next); got.id(id) == nil || bytes.Contains(got.body, []byte("needle")) {
			t.Errorf("%s: #%s is not on it, or next is", path, id)
		}
	}
	for _, path := range []string{"/new", "/go", "/pickup"} {
		if got := anna.post(path+next, "name", ""); bytes.Contains(got.body, []byte("needle")) {
			t.Errorf("POST %s repeats next", path)
		}
	}
	if pages < 20 {
		t.Errorf("got %d pages, want those of employees and staff", pages)
	}
	login := p.browser(iPhone).get("/login" + next)
	if login.value("next") != "/needle-in-next" || login.link("Deutsch") != "?lang=de&next=%2Fneedle-in-next" {
		t.Errorf("the sign-in page leads to %q, and in German to %q", login.value("next"), login.link("Deutsch"))
	}
}
