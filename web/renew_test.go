package web_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// aged is a fetched file whose certificate is some days from its end.
func aged(t *testing.T, platform string, left int) file {
	t.Helper()
	f := newFile(t, platform)
	f.anonymous.get(f.href)
	f.clock.Advance(time.Duration(365-left) * day)
	f.owner = f.signedIn("anna", android)
	return f
}

// leafOf opens the file that the device's page offers.
func (f file) leafOf(href, password string) *x509.Certificate {
	f.t.Helper()
	_, leaf, _, err := pkcs12.DecodeChain(f.anonymous.get(href).body, password)
	if err != nil {
		f.t.Fatal(err)
	}
	return leaf
}

func (f file) statusOf(serial ca.Serial) portal.Status {
	f.t.Helper()
	c, err := f.db.Certificate(f.t.Context(), serial)
	if err != nil {
		f.t.Fatal(err)
	}
	return c.Status
}

// TestRenewal goes the whole way: the reminder, one button, the file, the end of
// the old certificate.
func TestRenewal(t *testing.T) {
	t.Parallel()
	f := aged(t, "android", 20)
	old := f.certificate().Serial
	home := f.owner.get("/?lang=en")
	if !strings.Contains(home.text(), "stops working in 19 days. Renew it now.") {
		t.Errorf("home does not remind: %s", home.text())
	}
	question := f.owner.get(f.device + "/renew?lang=en")
	if question.status != 200 || !strings.Contains(question.text(), "The old one keeps working until 9 November 2027") {
		t.Errorf("question: got %d: %s", question.status, question.text())
	}
	token := question.value("request")
	for range 2 {
		got := f.owner.post(f.device+"/renew", "request", token)
		if got.status != 303 || got.location() != f.device+"/install" {
			t.Fatalf("renewing: got %d to %q: %s", got.status, got.location(), got.text())
		}
	}
	if got := f.entries(audit.CertificateIssued); got != 2 {
		t.Errorf("%d certificates issued, want 2", got)
	}
	page := f.owner.get(f.device + "/install?lang=en")
	if !strings.Contains(page.text(), "Your old certificate still works") || f.owner.get(f.device).id("finish") != nil {
		t.Errorf("install page before the file is fetched: %s", page.text())
	}
	href, password := f.owner.download(f.device)
	leaf := f.leafOf(href, password)
	serial, err := ca.SerialOf(leaf.SerialNumber)
	if err != nil || serial == old {
		t.Fatalf("the file holds %s, %v, want another than %s", serial, err, old)
	}
	if f.statusOf(old) != portal.Superseded || f.statusOf(serial) != portal.Issued {
		t.Errorf("old is %s, new is %s", f.statusOf(old), f.statusOf(serial))
	}
	if f.owner.get(f.device+"/install").id("finish") == nil || f.owner.get(f.device).id("finish") == nil {
		t.Error("nothing to press once the file was fetched")
	}
	for range 2 {
		if got := f.owner.post(f.device + "/finish"); got.status != 303 || got.location() != f.device+"?done=renewed" {
			t.Errorf("finishing: got %d to %q", got.status, got.location())
		}
	}
	if f.statusOf(old) != portal.Revoked || f.statusOf(serial) != portal.Issued {
		t.Errorf("after finishing old is %s, new is %s", f.statusOf(old), f.statusOf(serial))
	}
}

// TestRenewalAgain: what did not arrive is replaced, and the old one stays.
func TestRenewalAgain(t *testing.T) {
	t.Parallel()
	f := aged(t, "android", 20)
	old := f.certificate().Serial
	f.owner.post(f.device+"/renew", "request", "one")
	first := f.certificate().Serial
	f.clock.Advance(enroll.PasswordLife + time.Second)
	f.owner = f.signedIn("anna", android)
	form := f.owner.get(f.device + "/install").node(withAction(f.device + "/install"))
	if form == nil {
		t.Fatal("the page of a file that ran out offers no new one")
	}
	if got := f.owner.post(f.device+"/install", "request", "two"); got.status != 303 {
		t.Fatalf("again: got %d: %s", got.status, got.text())
	}
	if f.statusOf(old) != portal.Superseded || f.statusOf(first) != portal.Revoked {
		t.Errorf("old is %s, first try is %s", f.statusOf(old), f.statusOf(first))
	}
	if got := f.owner.post(f.device + "/finish"); got.location() != f.device+"/install" || f.statusOf(old) != portal.Superseded {
		t.Errorf("finishing what nobody fetched: got %d to %q, the old one is %s", got.status, got.location(), f.statusOf(old))
	}
}

func TestRenewalIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(f file)
		status int
		words  string
	}{
		{"too early", func(file) {}, 409, "From 23 September 2027 on you can renew"},
		{"revoked", func(f file) { f.sweepAll(portal.Left) }, 409, "gets no certificate any more"},
		{"blocked", func(f file) { f.owner.post(f.device+"/lost", "reason", "lost") }, 409, "gets no certificate any more"},
		{"removed", func(f file) { f.owner.post(f.device + "/remove") }, 404, "Page not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := aged(t, "android", 365)
			tt.before(f)
			for _, got := range []answer{f.owner.get(f.device + "/renew?lang=en"), f.owner.post(f.device+"/renew", "request", "x")} {
				if got.status != tt.status || !strings.Contains(got.text(), tt.words) {
					t.Errorf("got %d, want %d with %q: %s", got.status, tt.status, tt.words, got.text())
				}
			}
			if got := f.entries(audit.CertificateReserved); got != 1 {
				t.Errorf("%d serials, want 1", got)
			}
		})
	}
}

// sweepAll ends the certificate of the device.
func (f file) sweepAll(cause portal.Cause) {
	f.t.Helper()
	_, err := f.db.Revoke(f.t.Context(), enroll.Revocation{Serials: []ca.Serial{f.certificate().Serial}, Cause: cause, At: f.clock.Now()})
	if err != nil {
		f.t.Fatal(err)
	}
}

// TestRenewingWhatRanOut: renewing an expired certificate promises no overlap, and
// asks for a new name when another device has taken it.
func TestRenewingWhatRanOut(t *testing.T) {
	t.Parallel()
	f := aged(t, "android", -3)
	if got := f.owner.get("/?lang=en").text(); !strings.Contains(got, "Annas Telefon stopped working on 22 November 2027. Renew it now.") {
		t.Errorf("home: %s", got)
	}
	if got := f.owner.get(f.device + "/renew?lang=en").text(); !strings.Contains(got, "Your certificate ran out on 22 November 2027") || strings.Contains(got, "The old one") {
		t.Errorf("question: %s", got)
	}
	f.owner.enrol("annas telefon", "android")
	taken := f.owner.post(f.device+"/renew", "request", "one")
	if taken.status != 422 || taken.value("name") != "Annas Telefon" {
		t.Fatalf("taken name: got %d: %s", taken.status, taken.text())
	}
	if got := f.owner.post(f.device+"/rename", "name", "Annas altes Telefon"); got.status != 303 || got.location() != f.device+"?done=renamed" {
		t.Errorf("renaming: got %d to %q", got.status, got.location())
	}
	if got := f.owner.post(f.device+"/renew", "request", "one"); got.status != 303 {
		t.Errorf("renewing: got %d: %s", got.status, got.text())
	}
}

func TestRename(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	f.owner.enrol("Tablet", "android")
	tests := []struct {
		name, words string
	}{
		{"", "Enter a name"}, {strings.Repeat("x", 41), "Use 40 characters"}, {"TABLET", "Another of your devices is called TABLET"},
	}
	for _, tt := range tests {
		got := f.owner.post(f.device+"/rename", "name", tt.name)
		if got.status != 422 || !strings.Contains(got.text(), tt.words) || got.value("name") != tt.name {
			t.Errorf("%q: got %d with %q: %s", tt.name, got.status, got.value("name"), got.text())
		}
	}
	if got := f.owner.get(f.device + "/rename").value("name"); got != "Annas Telefon" {
		t.Errorf("form holds %q", got)
	}
	if got := f.owner.post(f.device+"/rename", "name", " Büro\u202e 📱 "); got.status != 303 {
		t.Errorf("got %d", got.status)
	}
	if got := f.owner.get(f.device).text(); !strings.Contains(got, "Büro 📱") {
		t.Errorf("device page: %s", got)
	}
}

// TestA10_LifeOfOthersDevices refuses every act on other people's devices, and all
// acts to a phone's session.
func TestA10_LifeOfOthersDevices(t *testing.T) {
	t.Parallel()
	f := aged(t, "android", 20)
	ben := f.signedIn("ben", android)
	acts := map[string][]string{"/renew": {"request", "x"}, "/finish": nil, "/lost": {"reason", "lost"}, "/rename": {"name", "mine"}}
	for act, fields := range acts {
		if act != "/finish" {
			if got := ben.get(f.device + act); got.status != 404 {
				t.Errorf("GET %s: got %d, want 404", act, got.status)
			}
		}
		if got := ben.post(f.device+act, fields...); got.status != 404 {
			t.Errorf("POST %s: got %d, want 404", act, got.status)
		}
		if got := f.owner.post(f.device+act, append(fields, "days", "3650")...); got.status != 400 {
			t.Errorf("POST %s with a field more: got %d, want 400", act, got.status)
		}
	}
	if got := f.certificate(); got.Status != portal.Issued {
		t.Errorf("certificate is %s", got.Status)
	}
}

// TestThreeTapsToBlock counts them from the home page, without typing anything.
func TestThreeTapsToBlock(t *testing.T) {
	t.Parallel()
	f := aged(t, "android", 20)
	f.owner.post(f.device+"/renew", "request", "one")
	home := f.owner.get("/?lang=en")
	if home.node(withHref(f.device)) == nil { // first tap: manage
		t.Fatal("home does not lead to the device")
	}
	if f.owner.get(f.device).node(withHref(f.device+"/lost")) == nil { // second
		t.Fatal("the device's page does not lead on")
	}
	question := f.owner.get(f.device + "/lost?lang=en")
	if checked := question.id("r-lost"); checked == nil || !hasAttr(checked, "checked") {
		t.Fatal("no reason is chosen beforehand")
	}
	if got := f.owner.post(f.device+"/lost", "reason", "lost"); got.status != 303 || got.location() != f.device+"/lost" { // third
		t.Fatalf("blocking: got %d to %q: %s", got.status, got.location(), got.text())
	}
	if got := f.entries(audit.CertificateRevoked); got != 2 {
		t.Errorf("%d revoked, want the old and the new one", got)
	}
	if got := f.certificate(); got.Cause != portal.Lost {
		t.Errorf("cause %q", got.Cause)
	}
	if got := f.owner.get("/?lang=en").text(); !strings.Contains(got, "Annas Telefon Blocked") || !strings.Contains(got, "using 0 of 5") {
		t.Errorf("home: %s", got)
	}
	f.clock.Advance(31 * day)
	if got := f.signedIn("anna", android).get("/?lang=en").text(); !strings.Contains(got, "Old certificates (1)") {
		t.Errorf("home after a month: %s", got)
	}
}

// TestBlockedPageTellsTheTruth about the list: being made, late, done.
func TestBlockedPageTellsTheTruth(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	f.anonymous.get(f.href)
	before := f.publish()
	f.owner.post(f.device+"/lost", "reason", "lost")
	var names crl.List
	steps := []struct {
		name  string
		do    func()
		words string
		again bool
	}{
		{"at once", func() {}, "is being made", true},
		{"nobody makes it", func() { f.clock.Advance(21 * time.Second) }, "blocked Annas Telefon in the portal", false},
		{"made", func() { names = f.publish() }, "It is blocked since 22 November 2026, 12:00 UTC. Every server refuses it within 72 hours, by 25 November 2026, 12:00 UTC. Mail and files that are on it stay there: ask the helpdesk to erase it.", false},
		{"made again", func() { f.clock.Advance(time.Hour); f.publish(); f.owner = f.signedIn("anna", android) }, "Every server refuses it within 71 hours, by 25 November 2026, 12:00 UTC.", false},
		{"long after", func() { f.clock.Advance(4 * day); f.publish(); f.owner = f.signedIn("anna", android) }, "No server accepts it any more. Mail", false},
	}
	if got, want := before.NextUpdate, testkit.Noon.Add(72*time.Hour); !got.Equal(want) {
		t.Fatalf("the list before ends at %v, want %v", got, want)
	}
	for _, step := range steps {
		step.do()
		got := f.owner.get(f.device + "/lost?lang=en")
		if !strings.Contains(got.text(), step.words) || (got.header.Get("Refresh") != "") != step.again {
			t.Errorf("%s: refresh %q, want %q: %s", step.name, got.header.Get("Refresh"), step.words, got.text())
		}
		if !strings.Contains(got.text(), "ask the helpdesk to erase it") || got.node(withHref("tel:+49891234")) == nil {
			t.Errorf("%s: no telephone: %s", step.name, got.text())
		}
		if number := fmt.Sprint(names.Number); names.Number > 0 && strings.Contains(got.text(), number) {
			t.Errorf("%s: the number of the list is for staff: %s", step.name, got.text())
		}
	}
}

func TestBlockReasons(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	for _, reason := range []string{"", "stolen", "replaced", "removed", "left"} {
		got := f.owner.post(f.device+"/lost", "reason", reason)
		if got.status != 422 || !strings.Contains(got.text(), "Choose what happened") {
			t.Errorf("reason %q: got %d", reason, got.status)
		}
	}
	if got := f.certificate().Status; got != portal.Issued {
		t.Errorf("certificate is %s", got)
	}
	if got := f.owner.post(f.device+"/lost", "reason", "returned"); got.status != 303 {
		t.Errorf("got %d", got.status)
	}
	if got := f.certificate().Cause; got != portal.Returned {
		t.Errorf("cause %q", got)
	}
	if got := f.anonymous.get(f.href); got.status != 410 || !strings.Contains(got.text(), "This device was blocked") {
		t.Errorf("its file: got %d: %s", got.status, got.text())
	}
}

// TestF22_DoubleTapOnRenew sends one form many times at once.
func TestF22_DoubleTapOnRenew(t *testing.T) {
	t.Parallel()
	f := aged(t, "android", 20)
	answers := make([]answer, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = f.owner.post(f.device+"/renew", "request", "one") })
	}
	wg.Wait()
	for i, a := range answers {
		if a.status != 303 || a.location() != f.device+"/install" {
			t.Errorf("tap %d: got %d to %q", i, a.status, a.location())
		}
	}
	if got := f.entries(audit.CertificateReserved); got != 2 {
		t.Errorf("%d serials, want 2", got)
	}
}

// withHref and withAction match elements that lead somewhere.
func withHref(to string) func(*html.Node) bool {
	return func(n *html.Node) bool { return n.Data == "a" && attr(n, "href") == to }
}

func withAction(to string) func(*html.Node) bool {
	return func(n *html.Node) bool { return n.Data == "form" && attr(n, "action") == to }
}
