package signin_test

import (
	"errors"
	"testing"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
)

// TestA8_ManyCookiesAreOneBrowser signs in again and again without the old cookie: all
// cookies share the limits of their person.
func TestA8_ManyCookiesAreOneBrowser(t *testing.T) {
	p := newPortal(t)
	const network = "2001:db8::1"
	try := func(browser string) bool {
		_, err := p.SignIn.OpenHandoff(t.Context(), "22222222", portal.Actor{Address: network, Browser: browser})
		return errors.Is(err, portal.ErrNotFound)
	}
	for range signin.HandoffTries {
		try("")
	}
	judged, marks := 0, map[string]bool{}
	for range 3 * signin.BrowserCodes {
		cookie := p.SignIn.KnowBrowser("", p.anna.ID)
		mark, _ := p.SignIn.KnownBrowser(cookie)
		marks[mark] = true
		if try(cookie) {
			judged++
		}
	}
	testkit.Equal(t, "codes judged", judged, signin.BrowserCodes)
	testkit.Equal(t, "marks", len(marks), 1)
	other, _ := p.SignIn.KnownBrowser(p.SignIn.KnowBrowser("", "id-of-another"))
	testkit.Equal(t, "another person's mark", marks[other] || other == "", false)
	if !try(p.SignIn.KnowBrowser("", "id-of-another")) {
		t.Error("another person's browser is paused")
	}
}
