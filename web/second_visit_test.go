package web_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/web"
)

// TestWaitingFileDoesNotWorkYet: home does not say that a device works whose file nothing
// has fetched.
func TestWaitingFileDoesNotWorkYet(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", android)
	href, _ := b.download(b.enrol("Phone", "android"))
	if got := b.get("/?lang=en").text(); strings.Contains(got, "Works until") || !strings.Contains(got, "Valid until") {
		t.Errorf("while the file waits: %s", got)
	}
	b.get(href)
	if got := b.get("/?lang=en").text(); !strings.Contains(got, "Works until") {
		t.Errorf("once it is fetched: %s", got)
	}
}

// TestNewPhoneAfterABlockFromAComputer: the computer hands off to the new phone; the phone
// itself, and the owner of a computer, get the form.
func TestNewPhoneAfterABlockFromAComputer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, client, platform string
		handoff                bool
	}{
		{"a phone, from a computer", linux, "android", true},
		{"a phone, from a phone", android, "android", false},
		{"a computer, from a computer", linux, "linux", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPortal(t)
			b := p.signedIn("anna", tt.client)
			device := b.enrol("Thing", tt.platform)
			b.post(device+"/lost", "reason", "lost")
			for _, page := range []string{device + "/lost", device} {
				got := b.get(page)
				if handoff := got.node(withAction("/handoff")) != nil; handoff != tt.handoff {
					t.Errorf("%s: hands off %v, want %v: %s", page, handoff, tt.handoff, got.text())
				}
				if form := got.node(withHref("/new")) != nil; form == tt.handoff {
					t.Errorf("%s: leads to the form %v, want %v", page, form, !tt.handoff)
				}
			}
			if !tt.handoff {
				return
			}
			b.post("/handoff")
			if got := b.get("/handoff"); got.id("handoff-code") == nil {
				t.Errorf("no code: %s", got.text())
			}
		})
	}
}

// TestBlockedPageCountsTheHoursOfTheList: a list that began in the middle of a minute lives
// no hour longer on the page than in the settings and in the manual.
func TestBlockedPageCountsTheHoursOfTheList(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	f.anonymous.get(f.href)
	f.clock.Advance(40 * time.Second)
	f.publish()
	f.owner.post(f.device+"/lost", "reason", "lost")
	f.publish()
	want := "Every server refuses it within 72 hours, by 25 November 2026, 12:01 UTC."
	if got := f.owner.get(f.device + "/lost?lang=en").text(); !strings.Contains(got, want) {
		t.Errorf("want %q: %s", want, got)
	}
}

// TestRemovedDeviceIsCalledSo: its owner and administrators see one word.
func TestRemovedDeviceIsCalledSo(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Phone", "ios")
	if got := b.post(device + "/remove"); got.status != 303 {
		t.Fatalf("got %d", got.status)
	}
	if got := tagOf(b.get(device + "?lang=en")); got != "Removed" {
		t.Errorf("its owner reads %q", got)
	}
	if got := tagOf(p.signedIn("ada", linux).get("/admin/devices?device=phone&lang=en")); got != "Removed" {
		t.Errorf("an administrator reads %q", got)
	}
}

// TestHandoffNamesItsOwnDevice: another device that is made meanwhile is not the phone's.
func TestHandoffNamesItsOwnDevice(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop, elsewhere := p.signedIn("anna", linux), p.signedIn("anna", android)
	phone := p.newHandoffPhone(desktop)
	elsewhere.get(hrefOf(elsewhere.download(elsewhere.enrol("Another tablet", "android"))))
	see := func(want string) {
		t.Helper()
		got := desktop.get("/handoff?lang=en")
		if !says(got, want) || strings.Contains(got.text(), "Another tablet") {
			t.Errorf("want %q: %s", want, got.text())
		}
	}
	see("Your phone is connected")
	device := phone.enrol("Anna's iPhone", "ios")
	see("Your phone is connected")
	phone.get(hrefOf(phone.download(device)))
	see("Anna's iPhone has its certificate")
}

// TestFirstPhoneBeginsWithItsForm: who signs in on a phone for their first device is on its
// form at once; a computer, a second device, an obstacle and staff begin where they did.
func TestFirstPhoneBeginsWithItsForm(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	begins := func(login, agent, want string) {
		t.Helper()
		if got := p.browser(agent).post("/login", "username", login, "password", password); got.location() != want {
			t.Errorf("%s begins at %q, want %q", login, got.location(), want)
		}
	}
	begins("anna", iPhone, "/new")
	begins("anna", linux, "/")
	begins("hedi", iPhone, "/helpdesk")
	p.directory.set(nil, func(who *portal.Person) { who.MayEnroll = false })
	begins("anna", iPhone, "/")
	p.directory.set(nil, nil)
	p.signedIn("anna", linux).enrol("Laptop", "linux")
	begins("anna", iPhone, "/")
	p.reopen(func(c *web.Config) { c.Registrar = p.newCodeRegistrar() })
	begins("ben", iPhone, "/")
}
