package web_test

import (
	"strings"
	"testing"

	"certportal/internal/test/testkit"
	"certportal/web"
	"certportal/web/page"
)

// A person whose phone is gone comes to the sign-in page of another device.
func TestLostFromTheSignInPage(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	own := p.signedIn("anna", linux)
	if got := own.get("/lost"); got.status != 200 || !strings.Contains(got.text(), "there is nothing to block") || got.node(withHref("tel:+49891234")) == nil {
		t.Errorf("without a device: got %d: %s", got.status, got.text())
	}
	phone := own.enrol("Phone", "android")
	other := p.browser(linux)
	link := other.get("/login").link("I lost my phone")
	start := other.get(link)
	if start.status != 200 || !strings.Contains(start.text(), "First sign in. Then choose the device to block.") || start.link("I lost my phone") != "" {
		t.Fatalf("%q: got %d: %s", link, start.status, start.text())
	}
	if got := other.get("/lost"); got.status != 303 || got.location() != link {
		t.Errorf("without a session: got %d to %q", got.status, got.location())
	}
	in := other.post("/login", "username", "anna", "password", password, "next", start.value("next"))
	if got := other.get(in.location()); in.location() != "/lost" || got.status != 303 || got.location() != phone+"/lost" {
		t.Fatalf("with one device: got %d to %q", got.status, got.location())
	}
	tablet := own.enrol("Tablet", "android")
	list := other.get("/lost")
	if list.link("Block Phone") != phone+"/lost" || list.link("Block Tablet") != tablet+"/lost" {
		t.Errorf("with two devices: %s", list.text())
	}
	other.post(phone+"/lost", "reason", "lost")
	if got := other.get("/lost"); got.status != 303 || got.location() != tablet+"/lost" {
		t.Errorf("with one device that is not blocked: got %d to %q", got.status, got.location())
	}
}

// The link for people with a pickup code says that they sign in first, where they must.
func TestPickupFromTheSignInPage(t *testing.T) {
	t.Parallel()
	const words = "I have a pickup code from the helpdesk"
	p := newPortal(t)
	b := p.browser(linux)
	link := b.get("/login").link(words)
	if got := b.get(link); !strings.Contains(got.text(), "First sign in, then we ask for the code.") || got.value("next") != "/pickup" || got.link(words) != "" {
		t.Errorf("%q: %s", link, got.text())
	}
	p.reopen(func(c *web.Config) { c.CodeAlone, c.Mails = true, true })
	if got := b.get("/login").link(words); got != "/pickup" {
		t.Errorf("where a code replaces the password: got %q", got)
	}
}

func TestHelpdeskHours(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) {
		c.Renderer = testkit.Must(page.New(page.Config{Org: "Example", Helpdesk: page.Helpdesk{
			Phone: "+49 89 1234", Hours: "Monday to Friday, 8 to 18", AfterHours: "+49 89 1299"}}))(t)
	})
	got := p.browser(linux).get("/help")
	for _, words := range []string{"Hours: Monday to Friday, 8 to 18", "Outside these hours, if a device is lost: +49 89 1299"} {
		if !strings.Contains(got.text(), words) {
			t.Errorf("help does not say %q: %s", words, got.text())
		}
	}
	if got.node(withHref("tel:+49891299")) == nil {
		t.Error("the number outside the hours cannot be dialled")
	}
}
