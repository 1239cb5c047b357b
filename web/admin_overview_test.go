package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/web"
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
