package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/web"
)

// newTrialPortal is a portal with a CA that it does not run, which administrators may test.
func newTrialPortal(t *testing.T, change ...func(*enroll.Upstream)) (*testPortal, *fixture.UpstreamCA) {
	t.Helper()
	p := newStaffPortal(t, 0)
	company := fixture.NewUpstreamCA(t, p.clock.Now)
	active := company.Upstream("company")
	for _, f := range change {
		f(active)
	}
	registrar := p.newRegistrar(fixture.Hierarchy(t, "ec-p256"), p.config.Log, func(c *enroll.Config) { c.Upstream = active })
	s := testkit.Must(admin.New(admin.Config{Store: p.db, Now: p.clock.Now, Authority: &testAuthority{testPortal: p}, Upstreams: registrar}))(t)
	p.admin = s
	p.reopen(func(c *web.Config) { c.Registrar, c.Admin = registrar, s })
	return p, company
}

// The page shows each step of a test, in what the CA said, and offers it to administrators
// only.
func TestTrialsOnThePage(t *testing.T) {
	t.Parallel()
	p, company := newTrialPortal(t)
	ada, reader := p.signedIn("ada", linux), p.signedIn("aud", linux)
	page := func(b *browser) string { return b.get("/admin/ca?lang=en").text() }
	if text := page(reader); !strings.Contains(text, "Authority elsewhere: company") || !strings.Contains(text, "Never tested") || strings.Contains(text, "Test issue now") {
		t.Errorf("an auditor sees: %s", text)
	}
	for _, step := range []struct {
		kind, person string
		submit       func(req upstream.Request) (upstream.Answer, error)
		status       int
		words        []string
	}{
		{"issue", "", nil, 303, []string{"Passed The certificate is what was asked for.", "ada@example.com", "Reported as revoked"}},
		{"issue", "anna@example.com", func(upstream.Request) (upstream.Answer, error) {
			return upstream.Answer{ID: "77", Text: "Taken Under <Submission>"}, nil
		}, 303, []string{"Open It has not decided yet.", "It waits for approval there (77)", "Taken Under <Submission>", "anna@example.com"}},
		{"refusal", "", nil, 422, []string{"The directory has no one with this user principal name"}},
		{"refusal", "nobody@example.com", nil, 422, []string{"The directory has no one with this user principal name"}},
		{"refusal", "ben@example.com", func(upstream.Request) (upstream.Answer, error) {
			return upstream.Answer{}, &upstream.Denied{Code: "0x80094009", Person: true, Text: "Vorgang verweigert"}
		}, 303, []string{"Passed It denied the request because the portal may not ask for this person", "Denied because of the person", "Vorgang verweigert"}},
		{"refusal", "ben@example.com", nil, 303, []string{"Failed It issued the certificate.", "ESC3", "tab Enrollment Agents"}},
		{"refusal", "ben@example.com", func(upstream.Request) (upstream.Answer, error) { return upstream.Answer{}, context.DeadlineExceeded }, 303,
			[]string{"Not known It did not decide about the person", "A certificate may exist"}},
	} {
		company.OnSubmit = nil
		if step.submit != nil {
			company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) { return step.submit(req) }
		}
		p.clock.Advance(time.Second)
		got := ada.post("/admin/ca/upstream", "upstream", "company", "kind", step.kind, "person", step.person)
		text := got.text()
		if got.status == 303 {
			text = page(ada)
		}
		if got.status != step.status {
			t.Errorf("%s for %q: got %d to %q", step.kind, step.person, got.status, got.location())
		}
		for _, want := range step.words {
			if !strings.Contains(text, want) {
				t.Errorf("%s for %q: no %q: %s", step.kind, step.person, want, text)
			}
		}
	}
	if n := p.entries(audit.UpstreamTested); n != 5 || len(company.Live()) != 0 || len(p.certificates("ben"))+len(p.certificates("ada")) != 0 {
		t.Errorf("%d tests are recorded, %d certificates work", n, len(company.Live()))
	}
	if got := ada.post("/admin/ca/upstream", "upstream", "another", "kind", "issue", "person", ""); got.status != 404 {
		t.Errorf("an unknown CA: got %d", got.status)
	}
}

// The test of a refusal is offered only for CAs that can deny the portal by person.
func TestTrialOfRefusalNeedsARestriction(t *testing.T) {
	t.Parallel()
	p, company := newTrialPortal(t, func(u *enroll.Upstream) { u.Restricts = false })
	ada := p.signedIn("ada", linux)
	if text := ada.get("/admin/ca?lang=en").text(); !strings.Contains(text, "Test issue now") || strings.Contains(text, "Test refusal") {
		t.Errorf("page: %s", text)
	}
	if got := ada.post("/admin/ca/upstream", "upstream", "company", "kind", "refusal", "person", "ben@example.com"); got.status != 404 || company.Submits() != 0 {
		t.Errorf("asked for all the same: got %d, %d requests", got.status, company.Submits())
	}
}

// A9, A10: who may not change anything tests nothing: without a fresh sign-in, from another
// site, as auditor or helpdesk. Nothing is sent.
func TestA9_TrialNeedsTheAdministrator(t *testing.T) {
	t.Parallel()
	p, company := newTrialPortal(t)
	form := []string{"upstream", "company", "kind", "issue", "person", "anna@example.com"}
	for _, login := range []string{"anna", "hedi", "aud"} {
		if got := p.signedIn(login, linux).post("/admin/ca/upstream", form...); got.status != 403 {
			t.Errorf("%s: got %d", login, got.status)
		}
	}
	ada := p.signedIn("ada", linux)
	if got := ada.do("POST", "/admin/ca/upstream", strings.NewReader("upstream=company&kind=issue&person="), "Content-Type", "application/x-www-form-urlencoded",
		"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); got.status != 403 {
		t.Errorf("from another site: got %d", got.status)
	}
	p.clock.Advance(11 * time.Minute)
	if got := ada.post("/admin/ca/upstream", form...); got.status != 303 || !strings.HasPrefix(got.location(), "/login") {
		t.Errorf("long after the sign-in: got %d to %q", got.status, got.location())
	}
	if company.Submits() != 0 || p.entries(audit.UpstreamTested) != 0 {
		t.Errorf("%d requests were sent", company.Submits())
	}
}
