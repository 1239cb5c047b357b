package web_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// seqs are the numbers of the entries on a page.
func (a answer) seqs() []string {
	var found []string
	a.node(func(n *html.Node) bool {
		if n.Data == "tr" && attr(n, "data-seq") != "" {
			found = append(found, attr(n, "data-seq"))
		}
		return false
	})
	return found
}

func TestAuditLog(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	anna := p.signedIn("anna", iPhone)
	anna.enrol("Anna's <iPhone>", "ios")
	for i := range 60 {
		note(t, p, audit.Entry{At: p.clock.Now(), Action: audit.PickupRead, Actor: "id-of-ben", Person: "id-of-ben", Object: fmt.Sprint("d", i)})
	}
	aud := p.signedIn("aud", linux)
	first := aud.get("/admin/audit")
	head, err := p.db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := first.seqs(); first.status != 200 || len(got) != 50 || got[0] != fmt.Sprint(head.Seq) {
		t.Fatalf("got %d with %d entries, newest %v, want 50 and %d", first.status, len(got), got[:1], head.Seq)
	}
	if text := first.text(); !strings.Contains(text, "Signed in") || !strings.Contains(text, "Aud Auditor") || !strings.Contains(text, "not verified yet") {
		t.Errorf("the page does not tell who did what: %s", text)
	}
	second := aud.get(first.link("Older entries"))
	if got := len(second.seqs()); second.status != 200 || got != int(head.Seq)-50 || second.link("Older entries") != "" {
		t.Errorf("second page: got %d with %d entries, want %d", second.status, got, head.Seq-50)
	}
	if got := aud.get(second.link("Newest entries")).seqs(); len(got) != 50 {
		t.Errorf("back at the newest: %d entries", len(got))
	}
	tests := []struct {
		name, query string
		want        int
	}{
		{"person by name", "person=ANNA%40example.com", 3},
		{"person by login", "person=anna", 3},
		{"person by id", "person=id-of-ben", 60},
		{"action", "action=certificate.issued", 1},
		{"person and action", "person=anna%40example.com&action=certificate.issued", 1},
		{"object", "object=d7", 1},
		{"today", "from=" + p.clock.Now().Format(time.DateOnly) + "&person=id-of-ben", 60},
		{"until yesterday", "to=" + p.clock.Now().AddDate(0, 0, -1).Format(time.DateOnly), 0},
		{"nobody", "person=" + url.QueryEscape(`' OR 1=1 --`), 0},
		{"markup", "person=" + url.QueryEscape(`<script>alert(1)</script>`), 0},
	}
	for _, tt := range tests {
		got := aud.get("/admin/audit?" + tt.query)
		if n := len(got.seqs()); got.status != 200 || n != min(tt.want, 50) {
			t.Errorf("%s: got %d with %d entries, want %d", tt.name, got.status, n, tt.want)
		}
	}
	// What a filter names leads back to all of it without a filter.
	if got := aud.get("/admin/audit?object=d7").link("Remove filter Serial number or device: d7 ×"); got != "/admin/audit" {
		t.Errorf("chip leads to %q", got)
	}
}

func note(t *testing.T, p *testPortal, e audit.Entry) {
	t.Helper()
	if err := p.db.Note(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func TestAuditLogSerialsInAnyForm(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	const serial = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
	note(t, p, audit.Entry{At: p.clock.Now(), Action: audit.CertificateIssued, Object: serial})
	aud := p.signedIn("aud", linux)
	for _, form := range []string{serial, strings.ToUpper(serial), "0x" + serial, "0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9", "0a1b 2c3d 4e5f 6071 8293 a4b5 c6d7 e8f9"} {
		if got := aud.get("/admin/audit?object=" + url.QueryEscape(form)).seqs(); len(got) != 1 {
			t.Errorf("%s: found %v", form, got)
		}
	}
}

func TestAuditLogRefuses(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	tests := []struct {
		name, login, path string
		want              int
	}{
		{"administrator", "ada", "/admin/audit", 200},
		{"helpdesk", "hedi", "/admin/audit", 403},
		{"employee", "anna", "/admin/audit", 403},
		{"a day that is none", "aud", "/admin/audit?from=2026-13-01", 422},
		{"an action that is none", "aud", "/admin/audit?action=made.up", 422},
		{"a long text", "aud", "/admin/audit?person=" + strings.Repeat("x", 257), 422},
		{"a line break", "aud", "/admin/audit?person=a%0Ab", 422},
		{"a place that is none", "aud", "/admin/audit?before=x", 404},
		{"a place before the first", "aud", "/admin/audit?before=0", 404},
	}
	for _, tt := range tests {
		if got := p.signedIn(tt.login, linux).get(tt.path); got.status != tt.want {
			t.Errorf("%s: got %d, want %d: %s", tt.name, got.status, tt.want, got.text())
		}
	}
	if got := p.browser(linux).get("/admin/audit"); got.status != http.StatusSeeOther {
		t.Errorf("nobody: got %d", got.status)
	}
}

func TestA19_AuditLogSaysWhereItBreaks(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	aud := p.signedIn("aud", linux)
	now := p.clock.Now()
	whole := audit.Verification{Head: audit.Head{Seq: 3}, At: now}
	if err := p.db.SaveVerification(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	if text := aud.get("/admin/audit").text(); !strings.Contains(text, "verified up to entry 3") {
		t.Errorf("whole: %s", text)
	}
	broken := audit.Verification{Head: audit.Head{Seq: 2}, At: now, Since: now, Broken: &audit.Break{Seq: 3, Fault: audit.CheckpointDiffers, Until: 9}}
	if err := p.db.SaveVerification(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	got := aud.get("/admin/audit")
	if text := got.text(); got.id("chain-broken") == nil || !strings.Contains(text, "changed at entry 3") || !strings.Contains(text, "between entries 3 and 9") {
		t.Errorf("broken: %s", text)
	}
}

// An audit log that takes no entries ends all issuing: nothing is signed, and the page
// says that it is not the person's doing.
func TestF21_WithoutTheLedgerNothingIsSigned(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	plain, err := sql.Open("sqlite", "file://"+p.file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Exec(`CREATE TRIGGER full BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	form := b.get("/new?p=ios")
	got := b.post("/new", "name", "Phone", "platform", "ios", "request", form.value("request"))
	if got.status != http.StatusServiceUnavailable {
		t.Errorf("enrolling: got %d, want 503: %s", got.status, got.text())
	}
	if all := p.certificates("anna"); len(all) != 0 {
		t.Errorf("certificates %v, want none", all)
	}
	if _, err := plain.Exec("DROP TRIGGER full"); err != nil {
		t.Fatal(err)
	}
	b.enrol("Phone", "ios")
	if all := p.certificates("anna"); all[portal.Issued] != 1 {
		t.Errorf("with the ledger again: %v", all)
	}
}

// The log of a whole story, as it is exported, holds nothing that opens anything.
func TestA16_TheLedgerHoldsNoSecret(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	anna := p.browser(iPhone)
	anna.post("/login", "username", "anna", "password", "wrong guess 77")
	anna = p.signedIn("anna", iPhone)
	href, install := anna.download(anna.enrol("Anna's phone", "android"))
	anna.get(href)
	hedi := p.signedIn("hedi", linux)
	code, _ := hedi.giveCode("ben", "called-back")
	ben := p.browser(android)
	ben.post("/pickup", "code", "AAAA-AAAA-AAAA")
	ben.post("/pickup", "code", code)
	var dump []byte
	entries, err := p.db.Entries(t.Context(), 0, 10_000)
	for _, e := range entries {
		if err == nil {
			dump, err = e.AppendJSON(dump)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"password": password, "wrong password": "wrong guess 77", "install password": install, "code": code, "code without hyphens": joined(code),
		"wrong code": "AAAAAAAAAAAA", "token": strings.Split(strings.TrimPrefix(href, "/d/"), "/")[0], "session": anna.cookie("__Host-certportal"),
	}
	for what, secret := range secrets {
		if len(secret) < 6 || bytes.Contains(dump, []byte(secret)) {
			t.Errorf("%s %q stands in the ledger", what, secret)
		}
	}
	if len(entries) < 10 {
		t.Errorf("only %d entries in the story", len(entries))
	}
}

// TestAuditSaysThatThereAreMorePeople: a name of many lists some of them, and says so.
func TestAuditSaysThatThereAreMorePeople(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 1600)
	b := p.signedIn("aud", linux)
	got := b.get("/admin/audit?person=a")
	if got.id("which") == nil || !strings.Contains(got.text(), "More people may have this name than these 20.") {
		t.Errorf("a name of many: %s", got.text())
	}
	if got := b.get("/admin/audit?person=a&lang=de").text(); !strings.Contains(got, "mehr Personen mit diesem Namen geben als diese 20.") {
		t.Errorf("in German: %s", got)
	}
}
