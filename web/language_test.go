package web_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"certportal/internal/portal"
	"certportal/web"
)

// language is the stored language of a person, empty for none.
func (p *testPortal) language(login string) string {
	p.t.Helper()
	lang, err := p.db.Language(p.t.Context(), portal.PersonID("id-of-"+login))
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		p.t.Fatal(err)
	}
	return lang
}

// TestLanguageOfMail: the language of mail is that of the page of the sign-in, and
// follows the links in the footer.
func TestLanguageOfMail(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.browser(iPhone)
	login := func(headers ...string) {
		t.Helper()
		a := b.do("POST", "/login", strings.NewReader("username=anna&password="+strings.ReplaceAll(password, " ", "+")),
			append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", b.base, "Sec-Fetch-Site", "same-origin"}, headers...)...)
		if a.status != 303 {
			t.Fatalf("signing in: %d", a.status)
		}
	}
	check := func(what, want string) {
		t.Helper()
		if got := p.language("anna"); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	b.get("/login?lang=de", "Sec-Fetch-Site", "same-origin")
	check("before anybody signed in", "")
	login()
	check("signed in on a German page", "de")
	b.get("/?lang=zh-Hans", "Sec-Fetch-Site", "same-origin")
	check("a link in the footer", "zh-Hans")
	for _, site := range []string{"cross-site", "same-site", "none"} {
		b.get("/?lang=en", "Sec-Fetch-Site", site)
		check("a link from elsewhere: "+site, "zh-Hans")
	}
	b.get("/?lang=en")
	check("a browser that does not tell", "zh-Hans")
	b.get("/?lang=tlh", "Sec-Fetch-Site", "same-origin")
	check("no language of ours", "zh-Hans")
	b.get("/logout")
	p.signedIn("anna", iPhone)
	check("another browser, in English", "en")
}

// noLanguages is a store that cannot save languages.
type noLanguages struct{ web.Store }

func (noLanguages) SetLanguage(context.Context, portal.PersonID, string) error {
	return errors.New("no room")
}

// TestLanguageKeepsNobodyOut: a store that cannot save languages does not prevent the
// sign-in.
func TestLanguageKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) { c.Store = noLanguages{c.Store} })
	b := p.signedIn("anna", iPhone)
	if got := b.get("/?lang=de", "Sec-Fetch-Site", "same-origin").status; got != 200 {
		t.Errorf("got %d", got)
	}
	if !strings.Contains(p.log.String(), "noting the language") {
		t.Error("nothing in the log")
	}
}
