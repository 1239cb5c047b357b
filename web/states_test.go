package web_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// tagOf is the word of the first state on a page.
func tagOf(a answer) string {
	n := a.node(func(n *html.Node) bool { return n.Data == "span" && strings.HasPrefix(attr(n, "class"), "tag ") })
	if n == nil {
		return ""
	}
	return nodeText(n)
}

// TestEveryPageNamesAStateAlike follows a certificate on the pages of its owner, of the
// helpdesk and of an administrator: all name its state with one word.
func TestEveryPageNamesAStateAlike(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	f.add("ada", "Ada Admin", "Ada", portal.Admin)
	serial := f.certificate().Serial.String()
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"fresh", func() {}, "Not downloaded"},
		{"fetched", func() { f.anonymous.get(f.href) }, "Downloaded"},
		{"its person says so", func() { f.signedIn("anna", linux).post(f.device + "/finish") }, "Works"},
		{"a month before its end", func() { f.clock.Advance(340 * day) }, "Ends soon"},
		{"renewed", func() { f.signedIn("anna", linux).post(f.device+"/renew", "request", "r") }, "Replaced"},
		{"blocked", func() { f.signedIn("anna", linux).post(f.device+"/lost", "reason", "lost") }, "Blocked"},
	}
	for _, step := range steps {
		step.do()
		ada := f.signedIn("ada", linux)
		if got := tagOf(ada.get("/admin/certificates/" + serial + "?lang=en")); got != step.want {
			t.Errorf("%s, certificate: got %q, want %q", step.name, got, step.want)
		}
		if step.want == "Replaced" { // the pages of the device show the next one
			continue
		}
		for _, got := range []answer{
			f.signedIn("anna", linux).get("/?lang=en"), f.signedIn("anna", linux).get(f.device + "?lang=en"),
			f.signedIn("hedi", linux).get(annaPage + "?lang=en"), ada.get("/admin/devices?lang=en&person=anna"),
		} {
			if word := tagOf(got); word != step.want {
				t.Errorf("%s: got %q, want %q: %s", step.name, word, step.want, got.text())
			}
		}
	}
}

// TestItDoesNotWork: one tap leads to help by symptom, and the helpdesk sees it; many taps
// are not as many entries.
func TestItDoesNotWork(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	f.anonymous.get(f.href)
	steps := f.owner.get(f.device + "/install?lang=en")
	if steps.id("finish") == nil || steps.id("broken") == nil {
		t.Fatalf("the steps do not ask whether it works: %s", steps.text())
	}
	for range enroll.TroublesPerHour + 3 {
		if got := f.owner.post(f.device + "/trouble"); got.location() != f.device+"/trouble" {
			t.Fatalf("got %d to %q", got.status, got.location())
		}
	}
	if got := f.entries(audit.DeviceTrouble); got != enroll.TroublesPerHour {
		t.Errorf("%d entries, want %d", got, enroll.TroublesPerHour)
	}
	help := f.owner.get(f.device + "/trouble?lang=en")
	if !says(help, "The helpdesk can see this now", "It says the password is wrong", "still asks for a password") || help.node(withAction(f.device+"/install")) == nil {
		t.Errorf("help: %s", help.text())
	}
	if got := f.signedIn("hedi", linux).get(annaPage + "?lang=en"); !says(got, "Says that it does not work: Annas Telefon") {
		t.Errorf("helpdesk: %s", got.text())
	}
	if got := f.signedIn("ben", linux).post(f.device + "/trouble"); got.status != 404 {
		t.Errorf("another person: got %d", got.status)
	}
	f.owner.post(f.device + "/finish")
	if got := f.owner.get(f.device + "?lang=en"); got.id("finish") != nil || tagOf(got) != "Works" {
		t.Errorf("after it works: %s", got.text())
	}
}

// TestHandoffEndsWithTheDevice: the desktop says which device has its certificate, once the
// phone fetched it.
func TestHandoffEndsWithTheDevice(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop := p.signedIn("anna", linux)
	desktop.get(hrefOf(desktop.download(desktop.enrol("Laptop", "linux"))))
	p.clock.Advance(time.Minute)
	phone := p.newHandoffPhone(desktop)
	see := func(want string, reloads bool) {
		t.Helper()
		got := desktop.get("/handoff?lang=en")
		if !says(got, want) || (got.header.Get("Refresh") != "") != reloads {
			t.Errorf("want %q, reloading %t: Refresh %q: %s", want, reloads, got.header.Get("Refresh"), got.text())
		}
	}
	see("Your phone is connected", true)
	device := phone.enrol("Anna's iPhone", "ios")
	see("Your phone is connected", true)
	href, _ := phone.download(device)
	phone.get(href)
	see("Anna's iPhone has its certificate", false)
	if got := phone.post(device + "/finish"); got.location() != device+"/install" {
		t.Errorf("the phone says that it works: got %d to %q", got.status, got.location())
	}
}

// hrefOf is the address alone of what download returns.
func hrefOf(href, _ string) string { return href }
