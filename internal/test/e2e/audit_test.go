package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// auditScreens are the pages of the audit log, with what the visit itself leaves
// in it.
func auditScreens() []screen {
	return []screen{
		{"audit", func(b *tab, d *demo) { b.signIn(d, d.person("auditor")); b.open(d.https + "/admin/audit") }},
		{"audit-open", func(b *tab, _ *demo) { b.do(chromedp.Click("td details summary")) }},
		{"audit-filter", at("/admin/audit?action=session.signed-in&person=auditor%40demo.example")},
		{"audit-none", at("/admin/audit?object=00")},
		{"audit-wrong", at("/admin/audit?from=yesterday&action=x")},
	}
}

func TestAuditPages(t *testing.T) {
	slow(t)
	showEverywhere(t, androidUA, func(*demo) []screen { return auditScreens() })
}

// TestAuditLog plays the auditor: the page shows what happened, and a command verifies
// that the log is unchanged, or finds where it was changed.
func TestAuditLog(t *testing.T) {
	need(t, "chromium")
	d := startDemo(t)
	b := openTab(t, look{agent: windowsUA, width: 1280})
	b.signIn(d, d.person("auditor"))
	b.open(d.https + "/admin/audit")
	if got := b.text("h1"); got != "Audit log" {
		t.Fatalf("the page is %q", got)
	}
	// The portal may record the certificate of its audit signer after it.
	if got := b.text("tbody"); !strings.Contains(got, "Signed in") {
		t.Errorf("the newest entries are %q", got)
	}
	b.fill("#person", "nobody@corp.example")
	b.press("main .filters .btn")
	if got := b.text("main"); !strings.Contains(got, "No entries match") {
		t.Errorf("a stranger's entries: %s", got)
	}
	d.stop(os.Interrupt)
	verify := func() (string, error) {
		out, err := exec.Command(binary, "--data", d.dir, "audit", "verify").CombinedOutput()
		return string(out), err
	}
	if out, err := verify(); err != nil || !regexp.MustCompile(`(?m)^\d+ seals; the last one`).MatchString(out) {
		t.Errorf("after the portal ended: %v\n%s", err, out)
	}
}
