package web_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestEnrol goes the whole way on each platform: form, page, file, and the file
// opens with the password of the page.
func TestEnrol(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"ios", "android", "windows", "macos", "linux"} {
		t.Run(platform, func(t *testing.T) {
			p := newPortal(t)
			b := p.signedIn("anna", iPhone)
			device := b.enrol("Annas Gerät 📱", platform)
			href, secret := b.download(device)
			// Download managers bring no cookie.
			got := p.browser("AndroidDownloadManager/14").get(href)
			if got.status != 200 || got.header.Get("Content-Type") != "application/x-pkcs12" {
				t.Fatalf("got %d of type %q", got.status, got.header.Get("Content-Type"))
			}
			_, leaf, chain, err := pkcs12.DecodeChain(got.body, secret)
			if err != nil {
				t.Fatal(err)
			}
			if leaf.Subject.CommonName != "anna@example.com" {
				t.Errorf("subject: got %q", leaf.Subject.CommonName)
			}
			if len(chain) != 1 || !chain[0].Equal(p.issuing) {
				t.Errorf("chain: got %d certificates, want the issuing CA", len(chain))
			}
			home := b.get("/")
			if !strings.Contains(home.text(), "Annas Gerät 📱") || !strings.Contains(string(home.body), leaf.SerialNumber.Text(16)) {
				t.Error("the home page does not list device and serial")
			}
		})
	}
}

// TestA1_NamesComeFromTheDirectory names the device like another person: the
// certificate names the person who signed in.
func TestA1_NamesComeFromTheDirectory(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	for i, name := range []string{"administrator@example.com", "CN=ben@example.com,O=x", "S-1-5-21-1-2-3-500"} {
		device := b.enrol(name, "linux")
		href, secret := b.download(device)
		_, leaf, _, err := pkcs12.DecodeChain(b.get(href).body, secret)
		if err != nil {
			t.Fatal(err)
		}
		if got := leaf.Subject.String(); got != "CN=anna@example.com" {
			t.Errorf("subject %d: got %q", i, got)
		}
		if bytes.Contains(leaf.RawTBSCertificate, []byte(name)) {
			t.Errorf("%q stands in the certificate", name)
		}
	}
}

func TestEnrolRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, device, platform string
		status                 int
		words                  string
	}{
		{"no name", " ", "ios", 422, ""},
		{"only direction marks", "\u202e\u202c", "ios", 422, ""},
		{"long name", strings.Repeat("a", 41), "ios", 422, "40"},
		{"name taken", "anna's IPHONE", "ios", 422, "anna's IPHONE"},
		{"no platform", "x", "", 422, ""},
		{"unknown platform", "x", "symbian", 422, ""},
	}
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	b.enrol("Anna's iPhone", "ios")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.post("/new", "name", tt.device, "platform", tt.platform, "request", "same")
			if got.status != tt.status {
				t.Fatalf("got %d, want %d: %s", got.status, tt.status, got.text())
			}
			if !strings.Contains(got.text(), tt.words) {
				t.Errorf("page does not say %q: %s", tt.words, got.text())
			}
			if tt.device != " " && got.value("request") != "same" {
				t.Errorf("token: got %q, want the same form again", got.value("request"))
			}
		})
	}
	if got := p.entries(audit.CertificateReserved); got != 1 {
		t.Errorf("got %d serials reserved, want 1", got)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	var last string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		last = b.enrol(name, "linux")
	}
	if got := b.post("/new", "name", "f", "platform", "linux"); got.status != 409 {
		t.Errorf("sixth device: got %d, want 409", got.status)
	}
	if got := b.get("/new?p=linux"); got.status != 409 {
		t.Errorf("form for a sixth device: got %d, want 409", got.status)
	}
	// A new file for one that counts already is no sixth device.
	if got := b.post(last+"/install", "request", "again"); got.status != 303 {
		t.Errorf("new file: got %d, want 303", got.status)
	}
	if got := b.post(last + "/remove"); got.status != 303 {
		t.Fatalf("removing: got %d, want 303", got.status)
	}
	if got := b.post("/new", "name", "f", "platform", "linux"); got.status != 303 {
		t.Errorf("after removing one: got %d, want 303", got.status)
	}
}

// TestDoubleTap sends one form many times at once: one certificate, and every
// answer leads to it.
func TestDoubleTap(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	form := b.get("/new?p=ios")
	answers := make([]answer, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = b.post("/new", "name", form.value("name"), "platform", "ios", "request", form.value("request"))
		})
	}
	wg.Wait()
	for i, a := range answers {
		if a.status != 303 || a.location() != answers[0].location() {
			t.Errorf("tap %d: got %d to %q, want 303 to %q", i, a.status, a.location(), answers[0].location())
		}
	}
	if got := p.certificates("anna"); got[portal.Issued] != 1 || len(got) != 1 {
		t.Errorf("certificates: got %v, want one issued", got)
	}
	// So does a reload of the form's answer, later.
	again := b.post("/new", "name", "another", "platform", "android", "request", form.value("request"))
	if again.location() != answers[0].location() {
		t.Errorf("reload: got %q, want %q", again.location(), answers[0].location())
	}
}

// TestReload holds that a page shown again shows the same.
func TestReload(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	href, secret := b.download(device)
	for range 3 {
		if h, s := b.download(device); h != href || s != secret {
			t.Errorf("got %q and another password, want the same", h)
		}
	}
	if got := p.certificates("anna"); got[portal.Issued] != 1 {
		t.Errorf("certificates: got %v, want 1", got)
	}
}

// TestOtherSession opens the page in a second browser: it shows neither file nor
// password, and does not say that the time is over while it is not.
func TestOtherSession(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	href, _ := b.download(device)
	b.get(href)
	const elsewhere, over = "offered in another browser", "That time is over"
	see := func(when, want, not string) {
		t.Helper()
		got := p.signedIn("anna", linux).get(device + "/install")
		if got.status != 200 || got.id("install-password") != nil || got.id("download") != nil {
			t.Errorf("%s: got %d with a file or password", when, got.status)
		}
		if !strings.Contains(got.text(), want) || strings.Contains(got.text(), not) || got.value("request") == "" {
			t.Errorf("%s: want %q and a form for a new file: %s", when, want, got.text())
		}
	}
	see("at once", elsewhere, over)
	if got := p.signedIn("anna", linux).get(device + "/install"); !strings.Contains(got.text(), "If that was not you") || got.link("Remove Anna's iPhone") == "" {
		t.Errorf("no way to end what was fetched elsewhere: %s", got.text())
	}
	p.clock.Advance(enroll.PasswordLife - time.Minute)
	see("while the password shows there", elsewhere, over)
	p.clock.Advance(time.Minute)
	see("after that", over, elsewhere)
	if got := p.certificates("anna"); got[portal.Issued] != 1 {
		t.Errorf("certificates: got %v, want the one untouched", got)
	}
}

func TestNewFile(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	old, _ := b.download(device)
	token := b.get(device).value("request")
	p.clock.Advance(time.Minute)
	for range 2 {
		if got := b.post(device+"/install", "request", token); got.status != 303 || got.location() != device+"/install" {
			t.Fatalf("got %d to %q", got.status, got.location())
		}
	}
	fresh, _ := b.download(device)
	if fresh == old {
		t.Error("the file has the old address")
	}
	if got := b.get(old); got.status != 410 {
		t.Errorf("old file: got %d, want 410", got.status)
	}
	if got := p.entries(audit.CertificateRevoked); got != 1 {
		t.Errorf("got %d revoked, want the old one", got)
	}
}

// TestNewFileEndsNothingByItself taps everything that offers a new file for a device that
// works: the certificate works on, and a page asks before one that may be in use ends.
func TestNewFileEndsNothingByItself(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	f.anonymous.get(f.href)
	first := f.certificate().Serial
	f.clock.Advance(enroll.PasswordLife + time.Second)
	f.owner = f.signedIn("anna", android)
	if over := f.owner.get(f.device + "/install?lang=en"); !strings.Contains(over.text(), "This file has run out") || !strings.Contains(over.text(), "works on for a few days") {
		t.Errorf("the page of the file: %s", over.text())
	}
	if got := f.owner.post(f.device+"/install", "request", "second"); got.location() != f.device+"/install" {
		t.Fatalf("second file: got %d to %q", got.status, got.location())
	}
	href, _ := f.owner.download(f.device)
	f.anonymous.get(href)
	second := f.certificate().Serial
	if f.statusOf(first) != portal.Superseded || f.statusOf(second) != portal.Issued {
		t.Fatalf("first is %s, second is %s", f.statusOf(first), f.statusOf(second))
	}
	for _, page := range []string{f.device, f.device + "/install"} {
		if got := f.owner.get(page); got.node(withAction(f.device+"/install")) != nil {
			t.Errorf("%s ends the second with one tap", page)
		}
	}
	if got := f.owner.post(f.device+"/install", "request", "third"); got.location() != f.device+"/newfile" {
		t.Errorf("third file unasked: got %d to %q", got.status, got.location())
	}
	if got := f.owner.post(f.device+"/renew", "request", "third"); got.location() != f.device+"/renew" {
		t.Errorf("renewing unasked: got %d to %q", got.status, got.location())
	}
	question := f.owner.get(f.device + "/newfile?lang=en")
	if question.value("ends") != second.String() || !strings.Contains(question.text(), "its certificate then stops working") {
		t.Errorf("question: %s", question.text())
	}
	if got := f.owner.post(f.device+"/install", "request", question.value("request"), "ends", second.String()); got.location() != f.device+"/install" {
		t.Fatalf("third file: got %d to %q", got.status, got.location())
	}
	if f.statusOf(first) != portal.Superseded || f.statusOf(second) != portal.Revoked {
		t.Errorf("first is %s, second is %s", f.statusOf(first), f.statusOf(second))
	}
	if got := f.owner.post(f.device+"/install", "request", "x", "ends", "zz"); got.status != 400 {
		t.Errorf("a foreign serial: got %d", got.status)
	}
	if got := f.owner.get(f.device + "/newfile"); got.location() != f.device {
		t.Errorf("nothing to ask: got %d to %q", got.status, got.location())
	}
}

// TestLeaver takes the right away in the middle of a session.
func TestLeaver(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	form := b.get("/new")
	if err := p.people.SetDisabled(t.Context(), "anna", true, audit.Entry{At: testkit.Noon}); err != nil {
		t.Fatal(err)
	}
	got := b.post("/new", "name", "x", "platform", "ios", "request", form.value("request"))
	if got.status != 403 || p.entries(audit.CertificateReserved) != 0 {
		t.Errorf("got %d and %d serials, want 403 and none", got.status, p.entries(audit.CertificateReserved))
	}
}
