package web_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/web"
)

// hostileName is a name of a device that is markup and turns the direction of the text.
const hostileName = `<b id="x">Anna's "phone"</b> שלום`

// TestTroubleFindsTheReason: the page of a device that does not work names what the portal
// knows, with the one button that mends it, and the helpdesk reads the same reason.
func TestTroubleFindsTheReason(t *testing.T) {
	t.Parallel()
	toFile := func(f checkedFile) string { return f.device + "/install" }
	toTest := func(f checkedFile) string { return f.address + f.path() }
	toRenew := func(f checkedFile) string { return f.device + "/renew" }
	none := func(checkedFile) string { return "" }
	toNew := func(checkedFile) string { return "/new" }
	for _, tt := range []struct {
		fault, remedy, words string
		before               func(f *checkedFile)
		to                   func(f checkedFile) string // where its button leads
	}{
		{"untested", "test", "was not tested yet", func(*checkedFile) {}, toTest},
		{"file", "install", "downloaded 4 times", func(f *checkedFile) { f.downloads(3) }, toFile},
		{"file", "newfile", "downloaded 4 times", func(f *checkedFile) { f.downloads(3); f.later(time.Hour) }, toFile},
		{"mail", "", "The certificate is good", func(f *checkedFile) { f.show(&f.pair, "/test") }, none},
		{"testagain", "test", "The last test was good", func(f *checkedFile) { f.show(&f.pair, "/test"); f.later(25 * time.Hour) }, toTest},
		{"earlier", "test", "uses an earlier certificate", func(f *checkedFile) {
			f.renewed()
			f.later(time.Hour)
			f.show(&f.pair, "/test")
		}, toTest},
		{"notdownloaded", "install", "does not have the file yet", func(f *checkedFile) { f.renew() }, toFile},
		{"renamed", "renew", "has another name now", func(f *checkedFile) { f.changed(portal.UPNChanged) }, toRenew},
		{"expired", "renew", "has expired", func(f *checkedFile) { f.later(f.pair.Leaf.NotAfter.Sub(f.clock.Now())) }, toRenew},
		{"void", "renew", "must be replaced", func(f *checkedFile) { f.revokeAuthority(); f.activateNext() }, toRenew},
		{"void", "obstacle", "must be replaced", func(f *checkedFile) { f.revokeAuthority() }, none},
		{"ended", "newfile", "was ended", func(f *checkedFile) { f.sweepAll(portal.Withdrawn) }, toFile},
		{"neverfetched", "newfile", "not downloaded in time", func(f *checkedFile) {
			f.device = f.owner.enrol(hostileName+"2", "android")
			f.sweep()
			f.later(0)
		}, toFile},
		{"account", "obstacle", "switched off", func(f *checkedFile) { f.directory.set(nil, func(p *portal.Person) { p.Disabled = true }) }, none},
		{"blocked", "new", "This device is blocked", func(f *checkedFile) { f.owner.post(f.device+"/lost", "reason", "lost") }, toNew},
	} {
		t.Run(tt.fault+" "+tt.remedy, func(t *testing.T) {
			t.Parallel()
			f := newChecked(t)
			f.owner.post(f.device+"/rename", "name", hostileName)
			tt.before(&f)
			got := f.owner.get(f.device + "/trouble?lang=en")
			box := got.id("fault")
			if got.status != 200 || box == nil || attr(box, "data-fault") != tt.fault || attr(box, "data-remedy") != tt.remedy || !says(got, tt.words) {
				t.Fatalf("got %d, %s", got.status, got.text())
			}
			if to := tt.to(f); to != "" && got.node(withHref(to)) == nil && got.node(withAction(to)) == nil {
				t.Errorf("no button leads to %s: %s", to, got.text())
			}
			if got.id("x") != nil || !strings.Contains(got.text(), hostileName) {
				t.Errorf("the name of the device: %s", got.text())
			}
			if symptoms := says(got, "What happens?"); symptoms == (tt.fault == "blocked" || tt.fault == "account") {
				t.Errorf("help by symptom is shown: %v", symptoms)
			}
			if tt.fault == "account" {
				return // the same directory would not let the helpdesk in
			}
			desk := f.signedIn("hedi", linux).get(annaPage + "?lang=en")
			if !says(desk, "If it does not work") || desk.node(withFault(tt.fault)) == nil {
				t.Errorf("the helpdesk reads: %s", desk.text())
			}
			if tt.fault == "mail" && !says(desk, "the administrators of the mail server must look") {
				t.Errorf("the helpdesk has no next step: %s", desk.text())
			}
		})
	}
}

// TestTroubleWithoutACheckPage: nothing offers a test that there is not.
func TestTroubleWithoutACheckPage(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android", func(c *web.Config) { c.CheckURL = nil })
	f.anonymous.get(f.href)
	testkit.Eventually(t, "the file is there", func() bool { return !f.certificate().Delivered.IsZero() })
	got := f.owner.get(f.device + "/trouble?lang=en")
	if attr(got.id("fault"), "data-remedy") != "newfile" || got.id("test-link") != nil {
		t.Errorf("got %s", got.text())
	}
	if page := f.owner.get(f.device); page.id("broken") == nil {
		t.Error("the page of the device does not ask")
	}
	f.owner.post(f.device + "/finish")
	if page := f.owner.get(f.device); page.id("broken") == nil || page.id("finish") != nil {
		t.Error("the page of a device that works has no way to say that it does not")
	}
}

// later lets time pass, and the owner sign in again.
func (f checkedFile) later(d time.Duration) {
	f.t.Helper()
	f.clock.Advance(d)
	f.owner.signInAt("/login", "anna")
}

func (f checkedFile) downloads(n int) {
	f.t.Helper()
	for range n {
		before := f.readsLeft()
		f.anonymous.get(f.href)
		testkit.Eventually(f.t, "one read less", func() bool { return f.readsLeft() < before })
	}
}

// renew asks for the next certificate while the one before still works.
func (f checkedFile) renew() {
	f.t.Helper()
	f.clock.Set(f.pair.Leaf.NotAfter.Add(-20 * 24 * time.Hour))
	f.owner.signInAt("/login", "anna")
	question := f.owner.get(f.device + "/renew")
	if got := f.owner.post(f.device+"/renew", "request", question.value("request")); got.status != 303 {
		f.t.Fatalf("renewing: %d %s", got.status, got.text())
	}
}

// renewed also fetches the file of it.
func (f checkedFile) renewed() {
	f.renew()
	href, _ := f.owner.download(f.device)
	f.anonymous.get(href)
	testkit.Eventually(f.t, "the next file is there", func() bool { return !f.certificate().Delivered.IsZero() })
}

// changed is what the drift watch notes of the certificate.
func (f checkedFile) changed(c portal.Change) {
	f.t.Helper()
	mark(f.t.(*testing.T), f.file, c)
}

func withFault(fault string) func(*html.Node) bool {
	return func(n *html.Node) bool { return attr(n, "data-fault") == fault }
}
