package web_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store/seed"
	"certportal/web"
)

// newAdmin makes the administrator's work of a portal.
func (p *testPortal) newAdmin() *admin.Service {
	p.t.Helper()
	checks := &admin.Checks{List: []admin.Check{{Name: "database", Run: func(context.Context) []portal.Finding {
		return []portal.Finding{{What: "database", State: portal.FindingOK, Text: "it answers"}}
	}}, {Name: "address-crl", Group: admin.AddressGroup, Run: func(context.Context) []portal.Finding {
		return []portal.Finding{{What: "http://example.com/crl/issuing.crl", State: portal.FindingFailed, Text: "it answers 404 Not Found"}}
	}}}}
	s, err := admin.New(admin.Config{
		Store: p.db, Now: p.clock.Now, SecondPerson: 3, Checks: checks, Authority: &testAuthority{testPortal: p}, RoleGroups: p.people.RoleGroups,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.admin = s
	return s
}

// newStaffPortal is a portal with administrators ada and eve, aud who audits, and made-up
// people with so many certificates.
func newStaffPortal(t *testing.T, certificates int) *testPortal {
	t.Helper()
	p := newPortal(t)
	p.add("ada", "Ada Admin", "Ada", portal.Admin)
	p.add("eve", "Eve Admin", "Eve", portal.Admin)
	p.add("aud", "Aud Auditor", "Aud", portal.Auditor)
	if certificates == 0 {
		return p
	}
	h := fixture.Hierarchy(t, ca.ECP256)
	body := func(int) (seed.Template, error) { return seed.Template{DER: h.Issuing.Raw}, nil }
	if err := seed.Fill(t.Context(), p.db, seed.Config{Certificates: certificates, Now: testkit.Noon, Template: body}); err != nil {
		t.Fatal(err)
	}
	return p
}

// serials are those of the rows of a page.
func (a answer) serials() []string {
	var found []string
	a.node(func(n *html.Node) bool {
		if n.Data == "tr" && attr(n, "data-serial") != "" {
			found = append(found, attr(n, "data-serial"))
		}
		return false
	})
	return found
}

// link is the address of the first link with these words.
func (a answer) link(words string) string {
	n := a.node(func(n *html.Node) bool { return n.Data == "a" && strings.TrimSpace(nodeText(n)) == words })
	if n == nil {
		return ""
	}
	return attr(n, "href")
}

func TestAdminSearch(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 180)
	b := p.signedIn("aud", linux)
	seen := map[string]bool{}
	path, pages := "/admin/certificates?status=working", 0
	for path != "" && pages < 10 {
		got := b.get(path)
		if got.status != 200 {
			t.Fatalf("%s: got %d", path, got.status)
		}
		for _, serial := range got.serials() {
			if seen[serial] {
				t.Errorf("%s is on two pages", serial)
			}
			seen[serial] = true
		}
		path = got.link("Next page")
		pages++
	}
	want := 0
	for found := range p.everything() {
		if found.State == admin.Working {
			want++
		}
	}
	if len(seen) != want || pages < 2 {
		t.Errorf("got %d certificates on %d pages, want %d", len(seen), pages, want)
	}
	one := b.get("/admin/certificates").serials()[0]
	spaced := url.QueryEscape("0x" + strings.ToUpper(one[:4]) + ":" + one[4:8] + " " + one[8:])
	if got := b.get("/admin/certificates?serial=" + spaced); len(got.serials()) != 1 || got.serials()[0] != one {
		t.Errorf("by serial: got %v", got.serials())
	}
	got := b.get("/admin/certificates?person=schm&status=revoked")
	if got.link("Remove filter Name or UPN: schm ×") != "/admin/certificates?status=revoked" {
		t.Errorf("the filter cannot be removed: %s", got.text())
	}
	if got := b.get("/admin/certificates?serial=xyz&days=x&status=expiring"); got.status != 422 || got.id("summary") == nil || len(got.serials()) > 0 {
		t.Errorf("a filter that makes no sense: got %d", got.status)
	}
	if got := b.get("/admin/certificates?person=zzzz"); !strings.Contains(got.text(), "No certificates match") {
		t.Errorf("nothing found: %s", got.text())
	}
	if got := b.get("/admin/certificates?after=notaplace"); got.status != 404 {
		t.Errorf("a place that nobody gave: got %d", got.status)
	}
	for _, attack := range []string{"' OR 1=1 --", "%", "\"; DROP TABLE certificates; --"} {
		if got := b.get("/admin/certificates?person=" + url.QueryEscape(attack)); got.status != 200 || len(got.serials()) > 0 {
			t.Errorf("%q: got %d, %d rows", attack, got.status, len(got.serials()))
		}
	}
	if got := b.get("/admin/devices?device=anna"); got.status != 200 || !strings.Contains(got.text(), "Anna’s") {
		t.Errorf("devices: got %d", got.status)
	}
}

// everything reads all certificates.
func (p *testPortal) everything() map[admin.Certificate]bool {
	p.t.Helper()
	all := map[admin.Certificate]bool{}
	err := p.admin.EachCertificate(p.t.Context(), portal.Operator(), admin.Filter{}, func(c admin.Certificate) error {
		all[c] = true
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

func TestAdminDetailAndRevoke(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	device := "/admin" + p.signedIn("anna", iPhone).enrol("Anna’s iPhone", "ios")
	b := p.signedIn("ada", linux)
	serial := b.get("/admin/certificates?person=anna").serials()[0]
	got := b.get("/admin/certificates/" + serial)
	for _, want := range []string{"otherName UPN=anna@example.com", "digitalSignature", "Extended Key Usage", "Certificate issued", "BEGIN CERTIFICATE", "CN=anna@example.com"} {
		if !strings.Contains(got.text(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	path := got.link("Block this certificate")
	if got := b.post(path, "cause", "", "comment", "x"); got.status != 422 || got.id("cause-error") == nil {
		t.Errorf("no cause: got %d", got.status)
	}
	if got := b.post(path, "cause", "lost", "comment", strings.Repeat("x", 201)); got.status != 422 || got.id("comment-error") == nil {
		t.Errorf("a long comment: got %d", got.status)
	}
	if got := b.post(path, "cause", "lost", "comment", "left in a taxi", "serial", "x"); got.status != 400 {
		t.Errorf("a field no form has: got %d", got.status)
	}
	if got := b.post(path, "cause", "lost", "comment", "left in a taxi"); got.status != 303 {
		t.Fatalf("revoking: got %d: %s", got.status, got.text())
	}
	got = b.get("/admin/certificates/" + serial)
	if !strings.Contains(got.text(), "Lost or stolen") || !strings.Contains(got.text(), "No list names it yet") || got.link("Block this certificate") != "" {
		t.Errorf("after revoking: %s", got.text())
	}
	second := "/admin" + p.signedIn("ben", android).enrol("Ben’s phone", "android")
	if got := b.post(second+"/revoke", "cause", "withdrawn", "comment", "wrong model"); got.status != 303 {
		t.Fatalf("blocking a device: got %d: %s", got.status, got.text())
	}
	if got := b.get(second); !strings.Contains(got.text(), "Blocked") {
		t.Errorf("device after: %s", got.text())
	}
	if got := b.get(device); got.status != 200 {
		t.Errorf("device: got %d", got.status)
	}
	for _, nothing := range []string{"/admin/certificates/ff", "/admin/certificates/zz", "/admin/devices/none", "/admin/orders/none", "/admin/people/none/revoke", "/admin/certificates/ff/revoke"} {
		if got := b.get(nothing); got.status != 404 {
			t.Errorf("%s: got %d, want 404", nothing, got.status)
		}
	}
}

// What changes something wants a recent password, and a role that may.
func TestA10_AdminPages(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 40)
	var first admin.Certificate
	for c := range p.everything() {
		if c.State == admin.Working {
			first = c
		}
	}
	reads := []string{"/admin", "/admin/certificates", "/admin/certificates/" + first.Serial.String(), "/admin/devices",
		"/admin/devices/" + string(first.Device), "/admin/orders", "/admin/people", "/admin/checks", "/admin/export"}
	asks := []string{"/admin/certificates/" + first.Serial.String() + "/revoke", "/admin/devices/" + string(first.Device) + "/revoke",
		"/admin/people/" + string(first.Person) + "/revoke", "/admin/orders/new?status=working", "/admin/halt"}
	posts := append([]string{"/admin/orders", "/admin/orders/x/confirm", "/admin/orders/x/drop", "/admin/orders/x/approve", "/admin/halt/resume",
		"/admin/checks"}, asks...)
	for _, who := range []struct {
		login      string
		read, asks int
	}{{"ada", 200, 200}, {"aud", 200, 403}, {"hedi", 403, 403}, {"anna", 403, 403}} {
		b := p.signedIn(who.login, linux)
		for _, path := range reads {
			if got := b.get(path); got.status != who.read {
				t.Errorf("%s GET %s: got %d, want %d", who.login, path, got.status, who.read)
			}
		}
		for _, path := range asks {
			if got := b.get(path); got.status != who.asks {
				t.Errorf("%s GET %s: got %d, want %d", who.login, path, got.status, who.asks)
			}
		}
		if who.login == "ada" {
			continue
		}
		for _, path := range posts {
			path, _, _ = strings.Cut(path, "?")
			if got := b.post(path, "comment", "x", "cause", "lost"); got.status != 403 && got.status != 405 {
				t.Errorf("%s POST %s: got %d, want 403", who.login, path, got.status)
			}
		}
	}
	if n := len(p.everything()); n != 40 {
		t.Errorf("certificates after: %d", n)
	}
	if d, err := p.db.CertificateDetail(t.Context(), first.Serial, testkit.Noon); err != nil || d.State != admin.Working {
		t.Errorf("the certificate is %s, error %v", d.State, err)
	}
	b := p.signedIn("ada", linux)
	p.clock.Advance(11 * time.Minute)
	if got := b.get("/admin/halt"); got.status != 303 || !strings.HasPrefix(got.location(), "/login") {
		t.Errorf("after eleven minutes: got %d to %s", got.status, got.location())
	}
	if got := b.get("/admin/certificates"); got.status != 200 {
		t.Errorf("reading after eleven minutes: got %d", got.status)
	}
	if got := p.browser(linux).get("/admin"); got.status != 303 {
		t.Errorf("a stranger: got %d", got.status)
	}
}

func TestAdminOrder(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 60)
	ada, eve := p.signedIn("ada", linux), p.signedIn("eve", linux)
	ask := ada.get(ada.get("/admin/certificates?status=working").link("Block all that match…"))
	if ask.status != 200 || ask.value("status") != "working" {
		t.Fatalf("asking: got %d: %s", ask.status, ask.text())
	}
	made := ada.post("/admin/orders", "status", "working")
	if made.status != 303 {
		t.Fatalf("making: got %d: %s", made.status, made.text())
	}
	path := made.location()
	if got := ada.get(path); !strings.Contains(string(got.body), `http-equiv="refresh"`) {
		t.Error("a page that gathers does not reload")
	}
	p.work()
	order, err := p.db.Bulk(t.Context(), strings.TrimPrefix(path, "/admin/orders/"))
	if err != nil || order.State != admin.Draft || order.Items <= 3 {
		t.Fatalf("order: %+v, error %v", order, err)
	}
	if got := ada.post(path+"/confirm", "count", "1", "cause", "left", "comment", "branch closed"); got.status != 422 || got.id("count-error") == nil {
		t.Errorf("a wrong number: got %d", got.status)
	}
	if got := eve.post(path+"/confirm", "count", fmt.Sprint(order.Items), "cause", "left", "comment", "x"); got.status != 404 {
		t.Errorf("confirmed by another: got %d", got.status)
	}
	if got := ada.post(path+"/confirm", "count", fmt.Sprint(order.Items), "cause", "left", "comment", "branch closed"); got.status != 303 {
		t.Fatalf("confirming: got %d: %s", got.status, got.text())
	}
	if got := ada.post(path + "/approve"); got.status != 403 {
		t.Errorf("approved by the maker: got %d", got.status)
	}
	if got := eve.get("/admin"); !strings.Contains(got.text(), "One order waits for another administrator") {
		t.Errorf("overview: %s", got.text())
	}
	p.work()
	if n := len(ada.get("/admin/certificates?status=working").serials()); n == 0 {
		t.Fatal("certificates ended before anybody agreed")
	}
	if got := eve.post(path + "/approve"); got.status != 303 {
		t.Fatalf("approving: got %d: %s", got.status, got.text())
	}
	p.work()
	done := ada.get(path)
	if !strings.Contains(done.text(), "The order is carried out") || !strings.Contains(done.text(), "branch closed") || !strings.Contains(done.text(), "Eve Admin") {
		t.Errorf("done: %s", done.text())
	}
	if n := len(ada.get("/admin/certificates?status=working").serials()); n != 0 {
		t.Errorf("%d certificates still work", n)
	}
	if got := ada.post(path + "/drop"); got.status != 303 || !strings.Contains(ada.get(path).text(), "carried out") {
		t.Errorf("dropping what is done: got %d", got.status)
	}
}

// work lets orders go on.
func (p *testPortal) work() {
	p.t.Helper()
	if err := p.admin.RunBulks(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func TestHaltPages(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	ada, anna := p.signedIn("ada", linux), p.signedIn("anna", iPhone)
	if got := ada.post("/admin/halt", "comment", " "); got.status != 422 || got.id("comment-error") == nil {
		t.Errorf("no text: got %d", got.status)
	}
	long := ada.post("/admin/halt", "comment", "x", "comment-zh-Hans", strings.Repeat("停", 201))
	if long.status != 422 || long.id("comment-zh-Hans-error") == nil || long.value("comment") != "x" {
		t.Errorf("long text: got %d: %s", long.status, long.text())
	}
	if got := ada.post("/admin/halt", "comment", "We change servers until <b>16:00</b>", "comment-de", "Wir wechseln die Server: <b>bis 16 Uhr</b>"); got.status != 303 {
		t.Fatalf("stopping: got %d: %s", got.status, got.text())
	}
	if got := ada.get("/admin"); !strings.Contains(got.text(), "Issuing is stopped") || !strings.Contains(got.text(), "Act now") {
		t.Errorf("overview: %s", got.text())
	}
	form := anna.get("/new")
	got := anna.post("/new", "name", "iPhone", "platform", "ios", "request", form.value("request"))
	anna.get("/new?lang=de")
	german := anna.post("/new", "name", "iPhone", "platform", "ios", "request", form.value("request"))
	if !strings.Contains(german.text(), "Wir wechseln die Server: <b>bis 16 Uhr</b>") || strings.Contains(german.text(), "We change") || strings.Contains(got.text(), "Wir wechseln") {
		t.Errorf("a German reader reads: %s", german.text())
	}
	if got := ada.get("/admin/halt"); !strings.Contains(got.text(), "We change servers") || !strings.Contains(got.text(), "de: Wir wechseln") {
		t.Errorf("the page of the halt does not show both texts: %s", got.text())
	}
	if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.text(), "We change servers until <b>16:00</b>") {
		t.Errorf("an employee meanwhile: got %d: %s", got.status, got.text())
	}
	if n := p.certificates("anna"); len(n) != 0 {
		t.Errorf("certificates meanwhile: %v", n)
	}
	if got := ada.post("/admin/halt/resume"); got.status != 303 {
		t.Fatalf("resuming: got %d", got.status)
	}
	anna.enrol("iPhone", "ios")
}

// No cell of an export is a formula, for any name (attack A18).
func TestA18_Export(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	attacks := []string{`=cmd|'/c calc'!A1`, "+1", "-1+1", "@SUM(A1)", `"quoted, with comma"`, " =1+1", "＝1", "a\u202eb", "’; DROP", "x;=cmd|'/c calc'!A1", "x; +1"}
	for i, attack := range attacks {
		if i%4 == 0 {
			p.add(fmt.Sprint("user", i/4), attack, attack)
		}
		p.signedIn(fmt.Sprint("user", i/4), iPhone).enrol(attack, "ios")
	}
	b := p.signedIn("aud", linux)
	for _, what := range []string{"certificates", "devices", "audit"} {
		got := b.post("/admin/export/" + what)
		if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/csv") || !strings.Contains(got.header.Get("Content-Disposition"), "attachment") {
			t.Fatalf("%s: got %d %v", what, got.status, got.header)
		}
		body, marked := bytes.CutPrefix(got.body, []byte("\ufeff"))
		rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
		if err != nil || !marked || len(rows) < len(attacks) {
			t.Fatalf("%s: %d rows, error %v", what, len(rows), err)
		}
		for _, row := range rows {
			for _, cell := range row {
				// Some spreadsheets cut a cell at a semicolon too.
				for _, part := range strings.Split(cell, ";") {
					if seen := strings.TrimLeft(part, " "); seen != "" && strings.ContainsAny(seen[:1], "=+-@\t\r") {
						t.Errorf("%s: cell %q", what, cell)
					}
				}
			}
		}
		if what == "devices" && !strings.Contains(string(body), `'=cmd|'/c calc'!A1`) {
			t.Errorf("the name of a device is gone: %s", body)
		}
	}
	if n := p.entries(audit.RecordsExported); n != 3 {
		t.Errorf("exports in the ledger: got %d", n)
	}
	if got := b.post("/admin/export/passwords"); got.status != 404 {
		t.Errorf("an export there is not: got %d", got.status)
	}
	if got := b.post("/admin/export/certificates", "status", "gone"); got.status != 400 {
		t.Errorf("a filter no form has: got %d", got.status)
	}
	part := b.post("/admin/export/certificates", "person", "user1@")
	if rows, err := csv.NewReader(bytes.NewReader(part.body)).ReadAll(); err != nil || len(rows) != 5 {
		t.Errorf("a part: %d rows, error %v", len(rows), err)
	}
}

func TestAdminOtherPages(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 30)
	b := p.signedIn("ada", linux)
	got := b.get("/admin")
	if !strings.Contains(got.text(), "No alert is known") {
		t.Errorf("overview: %s", got.text())
	}
	if got := b.get("/admin/people"); !strings.Contains(got.text(), "Stop issuing, and let it go on") {
		t.Errorf("roles: %s", got.text())
	}
	if got := b.get("/admin/checks"); !strings.Contains(got.text(), "Not run here yet") || !strings.Contains(got.text(), "Not all checks have run since this server started") {
		t.Errorf("checks before: %s", got.text())
	}
	if got := b.post("/admin/checks", "check", "database"); got.status != 303 {
		t.Errorf("running a check: got %d", got.status)
	}
	if got := b.get("/admin/checks"); !strings.Contains(got.text(), "it answers") || !strings.Contains(got.text(), "The database answers.") {
		t.Errorf("checks after: %s", got.text())
	}
	b.post("/admin/checks", "check", "")
	if got := b.get("/admin/checks"); !strings.Contains(got.text(), "One check failed. What to do is written below.") ||
		!strings.Contains(got.text(), "Servers refuse all certificates without a list") {
		t.Errorf("all checks after: %s", got.text())
	}
	if got := b.post("/admin/checks", "check", "nothing"); got.status != 404 {
		t.Errorf("no such check: got %d", got.status)
	}
	p.reopen(func(c *web.Config) { c.Admin = nil })
	if got := p.signedIn("ada", linux).get("/admin"); got.status != 404 {
		t.Errorf("without the service: got %d", got.status)
	}
}
