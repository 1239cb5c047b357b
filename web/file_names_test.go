package web_test

import (
	"mime"
	"strings"
	"testing"
	"time"

	"certportal/internal/enroll"
)

// TestEachFileHasItsOwnName: the page shows the name of the file next to its password, the
// file is saved under that name, and no file of a person has the name of another.
func TestEachFileHasItsOwnName(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", android)
	device := b.enrol("Galaxy", "android")
	check := func(want string) {
		t.Helper()
		page := b.get(device + "/install?lang=en")
		href, _ := b.download(device)
		_, params, err := mime.ParseMediaType(b.get(href).header.Get("Content-Disposition"))
		if err != nil || params["filename"] != want {
			t.Errorf("saved as %q, %v, want %q", params["filename"], err, want)
		}
		if name := page.id("file-name"); name == nil || nodeText(name) != "For the file "+want {
			t.Errorf("the page does not show %s with the password: %s", want, page.text())
		}
		if !strings.Contains(page.text(), "Open the newest file, "+want+", and delete older ones.") {
			t.Errorf("the help does not name %s: %s", want, page.text())
		}
	}
	check("Example-Galaxy-1.p12")
	p.clock.Advance(time.Minute)
	b.post(device+"/install", "request", "second")
	check("Example-Galaxy-2.p12")
	b.post(device + "/remove")
	p.clock.Advance(time.Minute)
	device = b.enrol("Galaxy", "android")
	check("Example-Galaxy-3.p12")
	for range 2 { // less than a session may be idle
		p.clock.Advance(enroll.PickupLife * 2 / 3)
		b.get("/")
	}
	if page := b.get(device + "/install?lang=en"); page.id("file-name") == nil {
		t.Error("no name once the file cannot be downloaded any more, while its password is shown")
	}
}

// TestWrongPasswordOffersANewFile on every platform, with and without a profile.
func TestWrongPasswordOffersANewFile(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	for _, platform := range []string{"ios", "android", "windows", "macos", "linux"} {
		for name, f := range map[string]file{"file": newFile(t, platform), "profile": newFile(t, platform, s.sign)} {
			page := f.owner.get(f.device + "/install?lang=en")
			if !says(page, "It says the password is wrong", "get a new file with a new password") || page.node(withAction(f.device+"/install")) == nil {
				t.Errorf("%s, %s: %s", platform, name, page.text())
			}
		}
	}
}
