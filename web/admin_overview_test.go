package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/web"
	"certportal/web/page"
)

// verdict is the answer of the overview to "is everything fine?", and its text.
func (a answer) verdict() (state, text string) {
	n := a.id("verdict")
	if n == nil {
		return "", ""
	}
	return attr(n, "data-verdict"), nodeText(n)
}

// TestOverviewAnswersInOneLine: fine, something, urgent; with the time of the last check
// and, for each alert, what to do and a button.
func TestOverviewAnswersInOneLine(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 60)
	var alerts []admin.Alert
	checks := &admin.Checks{List: []admin.Check{{Name: "database", Run: passingCheck}}}
	p.reopen(func(c *web.Config) { c.Admin = p.adminWith(checks, &alerts) })
	b := p.signedIn("ada", linux)
	if state, text := b.get("/admin").verdict(); state != "unknown" || !strings.Contains(text, "not all health checks ran") || strings.Contains(text, "fine") {
		t.Errorf("at first: got %q: %s", state, text)
	}
	if got := b.post("/admin/checks", "check", ""); got.status != 303 {
		t.Fatalf("checks: got %d", got.status)
	}
	if state, text := b.get("/admin").verdict(); state != "fine" || !strings.Contains(text, "All health checks passed, 22 November 2026, 12:00 UTC") {
		t.Errorf("after the checks: got %q: %s", state, text)
	}
	p.clock.Advance(2*time.Hour + time.Second)
	b = p.signedIn("ada", linux)
	if state, text := b.get("/admin").verdict(); state != "unknown" {
		t.Errorf("of checks that stopped: got %q: %s", state, text)
	}
	alerts = []admin.Alert{{Key: "letters", Number: 1234}}
	got := b.get("/admin")
	if state, text := got.verdict(); state != "warn" || !strings.Contains(text, "One thing needs attention.") {
		t.Errorf("a warning: got %q: %s", state, text)
	}
	if text := got.text(); !strings.Contains(text, "1,234 letters") || !strings.Contains(text, "send those messages again") || got.link("Checks") == "" {
		t.Errorf("a warning: %s", text)
	}
	alerts = append(alerts, admin.Alert{Key: "list-none", Critical: true, Value: "issuing", Path: "/admin/ca"})
	if state, text := b.get("/admin").verdict(); state != "bad" || !strings.Contains(text, "2 things") {
		t.Errorf("urgent: got %q: %s", state, text)
	}
	if got := b.get("/admin?lang=de").text(); !strings.Contains(got, "1.234 Nachrichten") {
		t.Errorf("in German: %s", got)
	}
}

// TestOverviewIsNeverOld: the first visitor of the morning sees the morning's numbers,
// and bars that a screen reader can read.
func TestOverviewIsNeverOld(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.signedIn("anna", iPhone).enrol("Phone", "ios")
	b := p.signedIn("ada", linux)
	count := func() string {
		n := b.get("/admin").node(func(n *html.Node) bool {
			return n.Data == "a" && attr(n, "href") == "/admin/certificates?status=working"
		})
		return nodeText(n)
	}
	if got := count(); got != "1 certificates work" {
		t.Fatalf("got %q", got)
	}
	p.signedIn("ben", iPhone).enrol("Phone", "ios")
	p.clock.Advance(59 * time.Second)
	if got := count(); got != "1 certificates work" {
		t.Errorf("within the minute it was counted again: %q", got)
	}
	p.clock.Advance(time.Second)
	if got := count(); got != "2 certificates work" {
		t.Errorf("after a minute: got %q", got)
	}
	page := b.get("/admin")
	bars := page.node(func(n *html.Node) bool { return n.Data == "svg" && attr(n, "class") == "bars" })
	table := page.node(func(n *html.Node) bool {
		return n.Data == "table" && strings.Contains(nodeText(n), "Asked for, by week")
	})
	if bars == nil || attr(bars, "aria-hidden") != "true" || table == nil || !strings.Contains(nodeText(table), "15 November 2026") {
		t.Errorf("the weeks are not there twice: %s", page.text())
	}
}

// TestOverviewLinksAgree: the list behind a number has as many rows as the number says, also
// when some were ended, or refused, before.
func TestOverviewLinksAgree(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	block := func(name string) {
		device := p.signedIn("anna", iPhone).enrol(name, "ios")
		b := p.signedIn("ada", linux)
		if got := b.post("/admin"+device+"/revoke", "cause", "lost", "comment", "left in a taxi"); got.status != 303 {
			t.Fatalf("blocking: got %d: %s", got.status, got.text())
		}
	}
	refuse := func() {
		testkit.NoError(t, p.db.Note(t.Context(), audit.Entry{At: p.clock.Now(), Action: audit.EnrolmentRefused, Actor: "id-of-ben", Person: "id-of-ben", Role: "employee", Detail: map[string]string{"reason": "quota"}}))
	}
	block("old")
	refuse()
	p.clock.Advance(40 * 24 * time.Hour)
	block("first")
	block("second")
	refuse()
	p.clock.Advance(time.Minute)
	b := p.signedIn("ada", linux)
	overview := b.get("/admin")
	ended, refused := overview.link("2 ended early in 30 days"), overview.link("1 refused since yesterday")
	if ended == "" || refused == "" {
		t.Fatalf("numbers: %s", overview.text())
	}
	if got := b.get(ended); len(got.serials()) != 2 || !strings.Contains(got.text(), "2 hits") || !strings.Contains(got.text(), "Ended from: 2026-12-02") {
		t.Errorf("%s: %d rows: %s", ended, len(got.serials()), got.text())
	}
	if got := b.get(refused).text(); strings.Count(got, "enrolment.refused") == 0 || !strings.Contains(refused, "from=2026-12-31") {
		t.Errorf("%s: %s", refused, got)
	}
	if got := b.get("/admin/certificates?status=revoked"); len(got.serials()) != 3 {
		t.Errorf("without a day: %d rows, want 3", len(got.serials()))
	}
}

// TestOverviewCountsByIssuer: while a company moves to another CA, the overview says how far
// it is, and leads to the certificates of each.
func TestOverviewCountsByIssuer(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.signedIn("anna", iPhone).enrol("first", "ios")
	if text := p.signedIn("ada", linux).get("/admin").text(); strings.Contains(text, "Who issued") {
		t.Errorf("one CA is counted: %s", text)
	}
	company := fixture.NewUpstreamCA(t, p.clock.Now)
	registrar := p.newRegistrar(fixture.Hierarchy(t, "ec-p256"), p.config.Log, func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	p.reopen(func(c *web.Config) { c.Registrar = registrar })
	p.clock.Advance(2 * time.Minute)
	p.signedIn("anna", android).enrol("second", "android")
	p.signedIn("ben", android).enrol("third", "android")
	p.clock.Advance(2 * time.Minute)
	b := p.signedIn("ada", linux)
	overview := b.get("/admin")
	for name, want := range map[string]int{"company": 2, "Issuing authority": 1} {
		list := overview.link(name)
		if list == "" {
			t.Fatalf("overview has no %s: %s", name, overview.text())
		}
		if got := b.get(list); len(got.serials()) != want || !strings.Contains(got.text(), "Issued by: "+name) {
			t.Errorf("%s: %d rows, want %d: %s", list, len(got.serials()), want, got.text())
		}
	}
}

// TestOverviewNamesTheOneThing: a single alert, or a single check, is named in the line
// itself, and checks that did not pass are links.
func TestOverviewNamesTheOneThing(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	var alerts []admin.Alert
	failing := func(context.Context) []portal.Finding { return []portal.Finding{{State: portal.FindingFailed}} }
	checks := &admin.Checks{List: []admin.Check{{Name: "mail", Run: failing}, {Name: "database", Run: passingCheck}}}
	p.reopen(func(c *web.Config) { c.Admin = p.adminWith(checks, &alerts) })
	b := p.signedIn("ada", linux)
	b.post("/admin/checks", "check", "")
	got := b.get("/admin")
	if _, text := got.verdict(); !strings.Contains(text, "One thing needs attention. Mail.") || got.link("Mail") != "/admin/checks#check-mail" {
		t.Errorf("one check: %s, link %q", text, got.link("Mail"))
	}
	if text := got.text(); !strings.Contains(text, "The scale is 0 to ") {
		t.Errorf("bars without a scale: %s", text)
	}
	checks.List[0].Run = passingCheck
	b.post("/admin/checks", "check", "")
	alerts = []admin.Alert{{Key: "letters", Number: 3}}
	if _, text := b.get("/admin").verdict(); !strings.Contains(text, "One thing needs attention. 3 letters could not be delivered.") {
		t.Errorf("one alert: %s", text)
	}
}

// TestWatchSaysWhyInWords: every reason of the watch to stop has words in every language.
func TestWatchSaysWhyInWords(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	var alerts []admin.Alert
	p.reopen(func(c *web.Config) { c.Admin = p.adminWith(&admin.Checks{}, &alerts) })
	b := p.signedIn("ada", linux)
	for _, lang := range page.Languages() {
		seen := map[string]bool{}
		for _, reason := range []drift.StopReason{drift.NoAnswer, drift.WrongAnswer, drift.NobodyKnown, drift.TooMany, drift.OtherDirectory, "of-next-year"} {
			alerts = []admin.Alert{{Key: "watch", Critical: true, At: p.clock.Now(), Value: string(reason)}}
			state, text := b.get("/admin?lang=" + lang).verdict()
			if state != "bad" || strings.Contains(text, string(reason)) || seen[text] {
				t.Errorf("%s in %s: %q: %s", reason, lang, state, text)
			}
			seen[text] = true
		}
	}
}

// TestStaffReadNames: pages name people and devices, not their ids.
func TestStaffReadNames(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	device := p.signedIn("anna", iPhone).enrol("Anna's phone", "ios")
	b := p.signedIn("ada", linux)
	b.post("/admin/halt", "comment", "until noon")
	if got := b.get("/admin/halt").text(); !strings.Contains(got, "Ada Admin") || strings.Contains(got, "id-of-ada") {
		t.Errorf("who stopped issuing: %s", got)
	}
	got := b.get("/admin/certificates?id=id-of-anna&device_id=" + strings.TrimPrefix(device, "/devices/"))
	if text := got.text(); !strings.Contains(text, "Person: Anna Muster") || !strings.Contains(text, "Device: Anna's phone") {
		t.Errorf("the filter: %s", text)
	}
}

// adminWith is the administrator's work with these checks and alerts.
func (p *testPortal) adminWith(checks *admin.Checks, alerts *[]admin.Alert) *admin.Service {
	p.t.Helper()
	s, err := admin.New(admin.Config{
		Store: p.db, Now: p.clock.Now, SecondPerson: 3, Checks: checks, Authority: &testAuthority{testPortal: p},
		Alerts: func(context.Context) []admin.Alert { return *alerts },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func passingCheck(context.Context) []portal.Finding {
	return []portal.Finding{{What: "database", State: portal.FindingOK, Text: "it answers"}}
}
