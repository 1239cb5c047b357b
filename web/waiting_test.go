package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/web"
)

// A certificate that is approved later: the person sees since when it waits, at home too, and
// fetches it days later with the browser that asked, after signing in again. A visit gives
// nothing; the button does.
func TestCertificateIsApprovedLater(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	company := fixture.NewUpstreamCA(t, p.clock.Now)
	var asked upstream.Request
	company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		asked = req
		return upstream.Answer{ID: "7"}, nil
	}
	approved := false
	company.OnPoll = func(_ context.Context, _ int, id string) (upstream.Answer, error) {
		if !approved {
			return upstream.Answer{ID: id}, nil
		}
		return upstream.Answer{Certificate: company.Issue(asked.CSR)}, nil
	}
	registrar := p.newRegistrar(fixture.Hierarchy(t, "ec-p256"), p.config.Log, func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	p.reopen(func(c *web.Config) { c.Registrar = registrar })
	anna := p.signedIn("anna", android)
	device := anna.enrol("Galaxy", "android")
	install := device + "/install"
	if text := anna.get(install + "?lang=en").text(); !strings.Contains(text, "Waiting for approval") || !strings.Contains(text, "only here the file can be opened") {
		t.Fatalf("install page: %s", text)
	}
	if text := anna.get("/?lang=en").text(); !strings.Contains(text, "Galaxy") {
		t.Errorf("home does not show what waits: %s", text)
	}
	other := p.signedIn("anna", android)
	if text := other.get(install + "?lang=en").text(); !strings.Contains(text, "another browser") {
		t.Errorf("another browser: %s", text)
	}
	approved = true
	p.clock.Advance(3 * 24 * time.Hour)
	testkit.NoError(t, registrar.SweepUpstream(t.Context()))
	anna.signInAgain("anna")
	page := anna.get(install + "?lang=en")
	if !strings.Contains(page.text(), "Your certificate is ready") {
		t.Fatalf("install page: %s", page.text())
	}
	if n := p.entries(audit.UpstreamCollected); n != 0 {
		t.Errorf("a visit made the file ready: %d entries", n)
	}
	if got := anna.post(device + "/collect"); got.status != 303 {
		t.Fatalf("collect: status %d", got.status)
	}
	href, password := anna.download(device)
	f := file{testPortal: p, anonymous: p.browser(android)}
	leaf := f.leafOf(href, password)
	if !leaf.Equal(company.Live()[0]) || p.entries(audit.UpstreamCollected) != 1 {
		t.Errorf("the file has another certificate, or there are %d entries", p.entries(audit.UpstreamCollected))
	}
	if got := other.post(device + "/collect"); got.status != 303 || p.entries(audit.UpstreamCollected) != 1 {
		t.Errorf("another browser: status %d", got.status)
	}
	if c := p.certificates("anna"); c[portal.Issued] != 1 {
		t.Errorf("certificates %v", c)
	}
}
