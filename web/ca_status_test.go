package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/web"
)

// testAuthority publishes unsigned CRLs in a real store.
type testAuthority struct {
	*testPortal
	err error // of making a list
}

// Status implements admin.Authority.
func (a *testAuthority) Status() admin.AuthorityStatus {
	list, _, err := a.db.Latest(context.Background(), "issuing", false, 0)
	if err != nil {
		a.t.Error(err)
	}
	return admin.AuthorityStatus{
		CAs: []admin.CAStatus{
			{Name: "root", Certificate: a.root, Lists: []crl.Health{{Issuer: "root", Trouble: "key away", Level: crl.Ended}}},
			{Name: "issuing", State: succession.Active, Certificate: a.issuing, Lists: []crl.Health{{Issuer: "issuing", List: list, Size: len(list.DER), Level: crl.Half}}},
		},
		Online: &ocsp.Health{Life: 8 * time.Hour, Kept: 12},
	}
}

// PublishNow fulfils admin.Authority.
func (a *testAuthority) PublishNow(context.Context, string) (crl.List, error) {
	if a.err != nil {
		return crl.List{}, a.err
	}
	return a.publish(), nil
}

// TestIssue fulfils admin.Authority.
func (a *testAuthority) TestIssue(_ context.Context, by audit.Entry) []portal.Finding {
	return []portal.Finding{{What: "issue", State: portal.FindingOK, Text: "asked by " + by.Actor}}
}

// publish makes the next list, as the publisher does.
func (p *testPortal) publish() crl.List {
	p.t.Helper()
	now := p.clock.Now()
	turn, err := p.db.AcquireLease(p.t.Context(), "issuing", "test", now, time.Minute)
	if err != nil {
		p.t.Fatal(err)
	}
	list := crl.List{
		Issuer: "issuing", Number: turn.Number, Through: turn.Through, ThisUpdate: now, NextUpdate: now.Add(72 * time.Hour),
		Published: now, Entries: 1, DER: []byte("list"),
	}
	if err := p.db.Publish(p.t.Context(), turn, list); err != nil {
		p.t.Fatal(err)
	}
	p.lists.list = list
	return list
}

func TestAuthorityPage(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	reader, ada := p.signedIn("aud", linux), p.signedIn("ada", linux)
	got := reader.get("/admin/ca?lang=en")
	for _, want := range []string{"Example Company Root CA", "There is none", "key away", "Nobody", "8 hours", "Public addresses", "Not run here yet"} {
		if !strings.Contains(got.text(), want) {
			t.Errorf("no %q: %s", want, got.text())
		}
	}
	for _, button := range []string{"Publish a list now", "Check addresses now", "Issue a test certificate"} {
		if strings.Contains(got.text(), button) {
			t.Errorf("an auditor is offered %q", button)
		}
	}
	if link := got.link("Authority"); link != "/admin/ca" {
		t.Errorf("the navigation leads to %q", link)
	}

	made := ada.post("/admin/ca/publish", "issuer", "issuing")
	number := strings.TrimPrefix(made.location(), "/admin/ca?made=")
	got = ada.get(made.location() + "&lang=en")
	if made.status != 303 || !strings.Contains(got.text(), "The revocation list with number "+number+" is published.") || !strings.Contains(got.text(), "Half its life is over") {
		t.Errorf("publishing: got %d to %q: %s", made.status, made.location(), got.text())
	}
	if got := ada.get("/admin/ca?made=17&lang=en").text(); strings.Contains(got, "is published") {
		t.Errorf("a list is told of that is not there: %s", got)
	}
	for action, want := range map[audit.Action]int{audit.CRLRequested: 1, audit.TestIssued: 0, audit.ChecksRun: 0} {
		if got := p.entries(action); got != want {
			t.Errorf("%s: got %d entries, want %d", action, got, want)
		}
	}

	if got := ada.post("/admin/ca/addresses"); got.status != 303 {
		t.Errorf("checking addresses: got %d", got.status)
	}
	if got := ada.post("/admin/ca/trial"); got.status != 303 {
		t.Errorf("a test certificate: got %d", got.status)
	}
	got = reader.get("/admin/ca?lang=en")
	for _, want := range []string{"it answers 404 Not Found", "asked by id-of-ada"} {
		if !strings.Contains(got.text(), want) {
			t.Errorf("no %q: %s", want, got.text())
		}
	}
	if p.entries(audit.ChecksRun) != 1 || p.entries(audit.TestIssued) != 1 {
		t.Error("looking and testing are not in the ledger")
	}
	if got := ada.post("/admin/ca/publish", "issuer", "another"); got.status != 404 {
		t.Errorf("a list of nobody: got %d", got.status)
	}
}

// A list that is not made leaves the one before in force, and the page says why.
func TestAuthorityPageSaysWhyNoListWasMade(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		status int
		words  string
	}{
		{"another makes one", fmt.Errorf("taking turn: %w", crl.ErrBusy), 409, "Another server is making a list"},
		{"the key is away", fmt.Errorf("unlocking: %w", ca.ErrNoRootKey), 409, "The key for it is kept elsewhere"},
		{"whatever else", context.DeadlineExceeded, 503, "No list was made, and the one before stays in force"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t)
			p.add("ada", "Ada Admin", "Ada", portal.Admin)
			s, err := admin.New(admin.Config{Store: p.db, Now: p.clock.Now, Authority: &testAuthority{p, tt.err}})
			if err != nil {
				t.Fatal(err)
			}
			p.reopen(func(c *web.Config) { c.Admin = s })
			got := p.signedIn("ada", linux).post("/admin/ca/publish", "issuer", "root")
			if got.status != tt.status || !strings.Contains(got.text(), tt.words) {
				t.Errorf("got %d: %s", got.status, got.text())
			}
		})
	}
}

// The page of a revoked certificate says what is true at the moment, and counts from
// what is true: lists that lack it, and answers from before.
func TestCertificatePageTellsTheTruth(t *testing.T) {
	t.Parallel()
	health := &ocsp.Health{Life: 100 * time.Hour}
	f := newFile(t, "android", func(c *web.Config) { c.OCSPHealth = func() *ocsp.Health { return health } })
	f.add("ada", "Ada Admin", "Ada", portal.Admin)
	path := "/admin/certificates/" + f.certificate().Serial.String()
	ada := func() *browser { return f.signedIn("ada", linux) }
	f.publish()
	if got := ada().get(path + "?lang=en"); strings.Contains(got.text(), "Copies elsewhere") {
		t.Errorf("a good one: %s", got.text())
	}
	f.clock.Advance(time.Minute)
	at := f.clock.Now()
	if got := ada().post(path+"/revoke", "cause", "lost", "comment", "left in a taxi"); got.status != 303 {
		t.Fatalf("revoking: got %d", got.status)
	}
	health.Followed = at
	steps := []struct {
		name  string
		do    func()
		words []string
	}{
		{"at once", func() {}, []string{
			"22 November 2026, 12:01:00 UTC, Ada Admin (admin)", "Lost or stolen: left in a taxi (CRLReason 1)", "No list names it yet",
			"They do not follow the records at the moment", "at least until 26 November 2026, 16:01:01 UTC"}},
		{"answers say so", func() { health.Followed, health.Signer = at.Add(time.Second), f.issuing }, []string{
			"They say that it is blocked, since 22 November 2026, 12:01:00 UTC"}},
		{"named", func() { f.clock.Advance(time.Second); f.publish() }, []string{
			"names it, published 22 November 2026, 12:01:01 UTC", "may accept it until 26 November 2026, 16:01:01 UTC"}},
		{"shorter answers", func() { health.Life = time.Hour }, []string{"may accept it until 25 November 2026, 12:00:00 UTC"}},
		{"nobody answers", func() { health = nil }, []string{"Nothing is answered online", "until 25 November 2026, 12:00:00 UTC"}},
		{"long after", func() { f.clock.Advance(4 * day); f.publish() }, []string{"Nobody can accept it any more"}},
	}
	for _, step := range steps {
		step.do()
		got := ada().get(path + "?lang=en").text()
		for _, want := range step.words {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q: %s", step.name, want, got)
			}
		}
	}
	// The pages after a bulk act show the status too.
	for _, where := range []string{"/admin" + f.device, "/admin/certificates?id=id-of-anna"} {
		if got := ada().get(where).text(); !strings.Contains(got, "Blocked last") || !strings.Contains(got, "left in a taxi") {
			t.Errorf("%s: %s", where, got)
		}
	}
}

// TestFindingsInTheLanguageOfTheReader: what a check found is in German on a German page,
// with the values of the finding, and in English where there is no other.
func TestFindingsInTheLanguageOfTheReader(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	checks := &admin.Checks{List: []admin.Check{{Name: "database", Run: func(context.Context) []portal.Finding {
		return []portal.Finding{
			portal.NewFinding("mail server", portal.FindingOK, portal.Say("mail-fine", "%s takes mail", "<b>mail.corp.example</b>"), portal.Sentence{Text: "and <more>"}),
			{What: "https://pki.corp.example", State: portal.FindingFailed, Text: "words of another program"},
			{What: "tls", State: portal.FindingOK, Text: "ends some day", Said: []portal.Sentence{{Text: "ends some day", Key: "tls-ends"}}}, // without its value
		}
	}}}}
	var alerts []admin.Alert
	p.reopen(func(c *web.Config) { c.Admin = p.adminWith(checks, &alerts) })
	b := p.signedIn("ada", linux)
	b.post("/admin/checks", "check", "")
	for lang, want := range map[string]string{"en": "<b>mail.corp.example</b> takes mail and <more>", "de": "<b>mail.corp.example</b> nimmt Mail an and <more>", "zh-Hans": "<b>mail.corp.example</b> 接收邮件 and <more>"} {
		got := b.get("/admin/checks?lang=" + lang).text()
		if !strings.Contains(got, want) || !strings.Contains(got, "words of another program") || !strings.Contains(got, "ends some day") {
			t.Errorf("%s: %s", lang, got)
		}
	}
}

// The page of the CAs counts the holders of each, and its link lists them with the same
// filter, as does their export.
func TestAuthorityPageCountsHolders(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	anna, ada := p.signedIn("anna", linux), p.signedIn("ada", linux)
	anna.enrol("iPhone", "ios")
	anna.enrol("Laptop", "linux")
	const words = "1 person, 2 devices"
	list := ada.get("/admin/ca?lang=en").link(words)
	if list != "/admin/certificates?authority=issuing&status=working" {
		t.Fatalf("%q leads to %q", words, list)
	}
	got := ada.get(list)
	for _, want := range []string{"iPhone", "Laptop", "Issued by: Issuing authority"} {
		if !strings.Contains(got.text(), want) {
			t.Errorf("no %q: %s", want, got.text())
		}
	}
	if got := ada.get("/admin/certificates?authority=issuing-2").text(); strings.Contains(got, "iPhone") || !strings.Contains(got, "Issued by: Issuing authority 2") {
		t.Errorf("of another authority: %s", got)
	}
	csv := string(ada.post("/admin/export/certificates", "authority", "issuing", "status", "working").body)
	if lines := strings.Count(csv, ",issuing\r\n"); lines != 2 {
		t.Errorf("export: got %d lines, want 2: %s", lines, csv)
	}
	if csv := string(ada.post("/admin/export/certificates", "authority", "issuing-2").body); strings.Contains(csv, "iPhone") {
		t.Errorf("export of another authority: %s", csv)
	}
}
