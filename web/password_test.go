package web_test

import (
	"net/http"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/test/testkit"
)

// TestS13_PasswordsAsTyped: long passwords, Unicode and spaces reach the directory as typed, and
// the field says to password managers what it is.
func TestS13_PasswordsAsTyped(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	page := string(p.browser(linux).get("/login").body)
	_, field, _ := strings.Cut(page, `<input id="password"`)
	field, _, _ = strings.Cut(field, ">")
	if !strings.Contains(field, `autocomplete="current-password"`) || strings.Contains(field, "maxlength") || strings.Contains(field, "pattern") {
		t.Errorf("field: %s", field)
	}
	for _, password := range []string{
		strings.Repeat("long words of a sentence ", 5) + "end", "Schlüssel der Stadt", "Schlu\u0308ssel der Stadt", "钥匙 钥匙 钥匙 钥匙 钥匙", "with trailing spaces  ", "\u00a0 '\"<&%+=\u202e and more",
	} {
		testkit.NoError(t, p.people.SetPassword(t.Context(), "anna", password, audit.Entry{At: p.clock.Now(), Action: audit.AccountPassword, Actor: "test"}))
		if got := p.browser(linux).post("/login", "username", "anna", "password", password); got.status != http.StatusSeeOther {
			t.Errorf("%q: status %d", password, got.status)
		}
	}
}
