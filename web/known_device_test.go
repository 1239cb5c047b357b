package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
)

const deviceCookie = "__Host-device"

// set gives the browser a cookie.
func (b *browser) set(name, value string) {
	b.t.Helper()
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

func (b *browser) signInAgain(login string) {
	b.t.Helper()
	b.post("/logout")
	if got := b.post("/login", "username", login, "password", password); got.status != 303 {
		b.t.Fatalf("signing in %s: got %d", login, got.status)
	}
}

// profileName is the name of the profile of anna's device, without the prefix of all.
func (p *testPortal) profileName(device string) string {
	p.t.Helper()
	id := portal.DeviceID(strings.TrimPrefix(device, "/devices/"))
	return testkit.Must(p.db.Device(p.t.Context(), "id-of-anna", id))(p.t).ProfileName()
}

// filled reports whether a link is the filled button, and not the second one.
func filled(n *html.Node) bool {
	return n != nil && attr(n, "class") == "btn"
}

// TestThisPhone visits the portal again with the phone that was enrolled: it is greeted as
// itself, renewing is the filled button when it is time, and a new device comes second.
func TestThisPhone(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", android)
	device := b.enrol("Galaxy", "android")
	other := p.signedIn("anna", linux).enrol("Laptop", "linux")
	if home := b.get("/?lang=en"); !says(home, "This phone: Galaxy") || !filled(home.node(withHref(device+"/install"))) {
		t.Errorf("while the file waits: %s", home.text())
	}
	href, _ := b.download(device)
	b.get(href)
	p.clock.Advance(time.Hour)
	b.signInAgain("anna")
	home := b.get("/?lang=en")
	if !says(home, "This phone: Galaxy", "Works until 22 November 2027", "Another device") || home.node(withHref("/new")) != nil ||
		home.node(withHref(device+"/renew")) != nil || home.node(withHref(device+"/lost")) == nil || home.node(withAction(device+"/install")) == nil {
		t.Errorf("home: %s", home.text())
	}
	if strings.Index(home.text(), "Galaxy") > strings.Index(home.text(), "Laptop") || home.node(withHref(other)) == nil {
		t.Errorf("the other device comes first, or is missing: %s", home.text())
	}
	if ask := b.get("/new?lang=en"); !says(ask, "This device already has a certificate") || ask.node(withHref(device)) == nil ||
		ask.node(withHref("/new/platform")) == nil || ask.value("name") != "" {
		t.Errorf("a new device: got %s", ask.text())
	}
	if form := b.get("/new?p=android"); form.value("name") == "" {
		t.Errorf("another device: got %s", form.text())
	}
	p.clock.Advance(340 * day)
	b.signInAgain("anna")
	if home := b.get("/"); !filled(home.node(withHref(device + "/renew"))) {
		t.Errorf("renewal day: %s", home.text())
	}
	if ask := b.get("/new?lang=en"); !says(ask, "Renew Galaxy instead?") || !filled(ask.node(withHref(device+"/renew"))) {
		t.Errorf("a new device on renewal day: got %s", ask.text())
	}
	b.post(device+"/lost", "reason", "retired")
	if home := b.get("/?lang=en"); says(home, "This phone") {
		t.Errorf("a blocked device is greeted: %s", home.text())
	}
	if form := b.get("/new"); form.value("name") == "" {
		t.Errorf("a new device after the block: %s", form.text())
	}
}

// TestA16_KnownDeviceHoldsNoSecret: the cookie is the id of the device, it opens nothing,
// and it is set only where the device is the one that asks.
func TestA16_KnownDeviceHoldsNoSecret(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", android)
	device := b.enrol("Galaxy", "android")
	if got := b.cookie(deviceCookie); "/devices/"+got != device {
		t.Errorf("cookie: got %q, want the id in %s", got, device)
	}
	desk := p.signedIn("anna", linux)
	desk.enrol("Tablet", "android")
	if got := desk.cookie(deviceCookie); got != "" {
		t.Errorf("a computer that enrolled a tablet: got cookie %q", got)
	}
	stranger := p.browser(android)
	stranger.set(deviceCookie, strings.TrimPrefix(device, "/devices/"))
	if got := stranger.get("/"); got.status != 303 || !strings.HasPrefix(got.location(), "/login") {
		t.Errorf("the cookie alone: got %d to %q", got.status, got.location())
	}
	for _, name := range []string{"__Host-lang", sessionCookie} {
		if strings.Contains(b.cookie(name), strings.TrimPrefix(device, "/devices/")) {
			t.Errorf("%s holds the device", name)
		}
	}
}

// TestA18_KnownDeviceIsForged: people see their own devices for every value of the cookie, and
// a phone that several people use knows each of them.
func TestA18_KnownDeviceIsForged(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", android)
	annas := strings.TrimPrefix(b.enrol("Galaxy", "android"), "/devices/")
	b.signInAgain("ben")
	if home := b.get("/?lang=en"); says(home, "Galaxy") || says(home, "This phone") {
		t.Errorf("ben sees anna's phone: %s", home.text())
	}
	if form := b.get("/new"); form.value("name") == "" {
		t.Errorf("ben is asked about anna's phone: %s", form.text())
	}
	bens := strings.TrimPrefix(b.enrol("Pixel", "android"), "/devices/")
	if got := b.cookie(deviceCookie); got != bens+"."+annas {
		t.Errorf("shared phone: got cookie %q", got)
	}
	b.signInAgain("anna")
	if home := b.get("/?lang=en"); !says(home, "This phone: Galaxy") {
		t.Errorf("anna on the shared phone: %s", home.text())
	}
	for _, value := range []string{
		"", ".", "....", "../../etc/passwd", `"><script>alert(1)</script>`, "%00", "\u202e", strings.Repeat("a", 3000),
		strings.Repeat("a.", 1000), strings.Repeat(bens+".", 50), "UPPER", "x\ty",
	} {
		b.set(deviceCookie, url.PathEscape(value))
		home, form := b.get("/?lang=en"), b.get("/new")
		if home.status != 200 || says(home, "This phone") || !says(home, "Galaxy") || form.value("name") == "" {
			t.Errorf("%.40q: got %d: %s", value, home.status, home.text())
		}
	}
	for i := range 6 {
		b.enrol(fmt.Sprint("phone ", i), "android")
		if n := strings.Count(b.cookie(deviceCookie), ".") + 1; n > 4 {
			t.Fatalf("the cookie holds %d devices", n)
		}
		b.post("/devices/" + strings.Split(b.cookie(deviceCookie), ".")[0] + "/remove")
	}
	if signin.KnownLife < 365*24*time.Hour {
		t.Error("the cookie is gone before the renewal")
	}
}

// TestRepeatReplacesTheProfile: the same phone enrolled again gets a profile of the
// same name, which replaces the one on the phone; another phone gets another.
func TestRepeatReplacesTheProfile(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	f := newFile(t, "ios", s.sign, withExchange)
	name := func(b *browser, device string) string {
		t.Helper()
		href, _ := b.download(device)
		return s.open(t, f.anonymous.get(href).body).PayloadIdentifier
	}
	first := name(f.owner, f.device)
	if again := name(f.owner, f.owner.enrol("The same phone", "ios")); again != first {
		t.Errorf("a second device on the phone: got profile %s, want %s", again, first)
	}
	other := f.signedIn("anna", iPhone)
	second := other.enrol("Second phone", "ios")
	if got := name(other, second); got == first {
		t.Errorf("another phone has the same profile %s", got)
	}
	other.post(second + "/remove")
	other.forget(deviceCookie)
	third := name(other, other.enrol("Second phone again", "ios"))
	if want := strings.TrimSuffix(first, "-1") + "-2"; third != want {
		t.Errorf("removed and enrolled again: got profile %s, want %s", third, want)
	}
	ben := f.signedIn("ben", iPhone)
	ben.set(deviceCookie, strings.TrimPrefix(f.device, "/devices/"))
	if got := name(ben, ben.enrol("Ben's phone", "ios")); strings.HasPrefix(got, strings.TrimSuffix(first, "1")) {
		t.Errorf("ben's profile %s is one of anna", got)
	}
}
