package web_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"certportal/ca/upstream/adcs/discovery"
	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/web"
)

// The page lists what the directory knows, in the language of the reader and as text, and is
// linked only where there is a directory to ask.
func TestDiscoveryPage(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	reader := p.signedIn("aud", linux)
	if got := reader.get("/admin/ca/directory?lang=en"); got.status != 200 || !strings.Contains(got.text(), "is no Active Directory") {
		t.Errorf("without directory: got %d: %s", got.status, got.text())
	}
	if link := reader.get("/admin/ca?lang=en").link("Authorities in the directory"); link != "" {
		t.Errorf("without directory the page leads to %q", link)
	}
	survey := discovery.Survey{Unreadable: []string{"an <entry>"}, Choices: []discovery.Choice{{
		Service: discovery.Service{Name: "<b>Corp</b>", Host: "ca01.corp.example", Endpoints: []discovery.Endpoint{
			{URL: "https://ces.corp.example/CES", Authentication: discovery.ClientCertificate}, {URL: "https://ces.corp.example/K", Authentication: discovery.Kerberos},
		}},
		Templates: []discovery.Judged{{Template: discovery.Template{Name: "PortalUser"}}, {
			Template: discovery.Template{Name: "Short"},
			Findings: []discovery.Finding{{Level: discovery.Critical, Sentence: portal.Say("template-key", "Keys need at least %d bits, and the portal makes %d (0x80094811)", 4096, 2048)}},
		}},
		Domain: "CORP",
	}}}
	var failed error
	s := testkit.Must(admin.New(admin.Config{
		Store: p.db, Now: p.clock.Now, Authority: &testAuthority{testPortal: p},
		Discover: func(context.Context) (discovery.Survey, error) { return survey, failed },
	}))(t)
	p.reopen(func(c *web.Config) { c.Admin = s })
	link := reader.get("/admin/ca?lang=en").link("Authorities in the directory")
	for lang, want := range map[string]string{
		"en": "Keys need at least 4096 bits, and the portal makes 2048", "de": "Schlüssel brauchen mindestens 4096 Bit, und das Portal macht 2048", "zh-Hans": "密钥至少需要 4096 位",
	} {
		text := reader.get(link + "?lang=" + lang).text()
		for _, want := range []string{want, "<b>Corp</b>", "an <entry>", "PortalUser", "https://ces.corp.example/K", "kind: adcs", "domain: 'CORP'"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q: %s", lang, want, text)
			}
		}
	}
	survey, failed = discovery.Survey{}, errors.New("no server answers")
	if got := reader.get(link + "?lang=en"); got.status != 200 || !strings.Contains(got.text(), "could not be read: no server answers") {
		t.Errorf("a directory that is away: got %d: %s", got.status, got.text())
	}
	for _, login := range []string{"anna", "hedi"} {
		if got := p.signedIn(login, linux).get(link); got.status != 403 {
			t.Errorf("%s: got %d", login, got.status)
		}
	}
}
