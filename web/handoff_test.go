package web_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/audit"
	"certportal/internal/enroll"
)

// shown is what a desktop shows of its hand-off.
type shown struct{ path, code, number string }

// offer makes a code on a desktop.
func (b *browser) offer() shown {
	b.t.Helper()
	if got := b.post("/handoff"); got.status != 303 || got.location() != "/handoff" {
		b.t.Fatalf("making a code: got %d to %q", got.status, got.location())
	}
	got := b.get("/handoff")
	code, number := got.id("handoff-code"), got.id("handoff-number")
	if code == nil || number == nil {
		b.t.Fatalf("the page shows no code: %s", got.text())
	}
	s := shown{code: nodeText(code), number: nodeText(number)}
	s.path = "/go/" + strings.ReplaceAll(s.code, "-", "")
	return s
}

// offerBelowTen makes codes until the number has a leading zero.
func (b *browser) offerBelowTen() shown {
	b.t.Helper()
	for range 500 { // no such number among so many is a chance of 1 in 10^22
		if s := b.offer(); strings.HasPrefix(s.number, "0") {
			return s
		}
	}
	b.t.Fatal("no number begins with a zero")
	return shown{}
}

// wrong is a number that the desktop does not show.
func (s shown) wrong() string {
	if s.number == "47" {
		return "48"
	}
	return "47"
}

// newHandoffPhone is a phone that came over from a desktop.
func (p *testPortal) newHandoffPhone(desktop *browser) *browser {
	p.t.Helper()
	s, phone := desktop.offer(), p.browser(iPhone)
	if got := phone.post(s.path, "number", s.number); got.status != 303 || got.location() != "/new" {
		p.t.Fatalf("typing the number: got %d to %q: %s", got.status, got.location(), got.text())
	}
	return phone
}

// head is the number of entries in the audit log.
func (p *testPortal) head() int64 {
	p.t.Helper()
	head, err := p.db.Head(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return head.Seq
}

func TestHandoff(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop, phone := p.signedIn("anna", linux), p.browser(iPhone)
	if got := desktop.get("/"); got.node(func(n *html.Node) bool { return attr(n, "action") == "/handoff" }) == nil {
		t.Error("the home page does not lead to the phone")
	}
	s := desktop.offer()
	if got := desktop.get("/handoff").header.Get("Refresh"); got != "4" {
		t.Errorf("Refresh: got %q, want 4", got)
	}
	asked := phone.get(s.path)
	field := asked.id("number")
	if asked.status != 200 || field == nil || attr(field, "value") != "" || attr(field, "inputmode") != "numeric" {
		t.Fatalf("phone: got %d: %s, want an empty field for the number", asked.status, asked.text())
	}
	if !strings.Contains(asked.text(), "A** M** (Example)") {
		t.Errorf("the phone's page does not hint at the person: %s", asked.text())
	}
	if got := phone.post(s.path, "number", s.number); got.location() != "/new" {
		t.Fatalf("right number: got %d to %q: %s", got.status, got.location(), got.text())
	}
	done := desktop.get("/handoff")
	if !strings.Contains(done.text(), "Your phone is connected") || done.header.Get("Refresh") != "4" {
		t.Errorf("desktop: %s, Refresh %q", done.text(), done.header.Get("Refresh"))
	}
	if form := phone.get("/new"); form.value("name") != "Anna’s iPhone" || form.value("platform") != "ios" {
		t.Errorf("phone's form: got %q, %q", form.value("name"), form.value("platform"))
	}
	device := phone.enrol("Anna's iPhone", "ios")
	href, installPassword := phone.download(device)
	if got := phone.get(href); got.status != 200 || installPassword == "" {
		t.Errorf("file: got %d", got.status)
	}
	if p.entries(audit.HandoffMade) != 1 || p.entries(audit.HandoffRedeemed) != 1 || p.entries(audit.HandoffBurnt) != 0 {
		t.Error("ledger: want one hand-off made and one redeemed")
	}
	if got := phone.post("/logout"); got.status != 303 {
		t.Errorf("signing out on the phone: got %d", got.status)
	}
}

// The page shows a code at once to a person who opens it, and only to them: another site, a
// preview, a prefetch and a browser that does not say who asks get a button.
func TestA9_HandoffAtOnce(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	person := []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"}
	with := func(pairs ...string) []string {
		set := map[string]string{}
		for i, all := 0, append(slices.Clone(person), pairs...); i < len(all); i += 2 {
			set[all[i]] = all[i+1]
		}
		var headers []string
		for name, value := range set {
			headers = append(headers, name, value)
		}
		return headers
	}
	desktop := p.signedIn("anna", linux)
	for name, headers := range map[string][]string{
		"says nothing": nil, "another site": with("Sec-Fetch-Site", "cross-site"), "a sister site": with("Sec-Fetch-Site", "same-site"),
		"an image": with("Sec-Fetch-Dest", "image"), "a frame": with("Sec-Fetch-Dest", "iframe"), "a prefetch": with("Sec-Purpose", "prefetch"),
	} {
		got := desktop.get("/handoff", headers...)
		if got.status != 200 || got.id("handoff-code") != nil || !strings.Contains(got.text(), "Show a new code") {
			t.Errorf("%s: got %d: %s", name, got.status, got.text())
		}
	}
	if got := desktop.do(http.MethodHead, "/handoff", nil, person...); got.status != 200 {
		t.Errorf("HEAD: got %d", got.status)
	}
	if got := p.entries(audit.HandoffMade); got != 0 {
		t.Fatalf("%d codes made", got)
	}
	for _, site := range []string{"none", "same-origin"} {
		desktop := p.signedIn("anna", linux)
		if got := desktop.get("/handoff", with("Sec-Fetch-Site", site)...); got.status != 303 || got.location() != "/handoff" {
			t.Fatalf("%s: got %d to %q", site, got.status, got.location())
		}
		got := desktop.get("/handoff", person...)
		if got.status != 200 || got.id("handoff-code") == nil || got.id("handoff-number") == nil {
			t.Errorf("%s: got %d: %s", site, got.status, got.text())
		}
	}
	if got := p.entries(audit.HandoffMade); got != 2 {
		t.Errorf("%d codes made, want 2: a reload makes none", got)
	}
	old := p.signedIn("anna", linux)
	p.clock.Advance(14*time.Minute + 59*time.Second)
	old.get("/")
	p.clock.Advance(2 * time.Second)
	if got := old.get("/handoff", person...); got.status != 303 || got.location() != "/login?next=%2Fhandoff" {
		t.Errorf("signed in a while ago: got %d to %q", got.status, got.location())
	}
}

// TestHandoffTypedNumber: what is not two digits is no try, and a leading zero counts.
func TestHandoffTypedNumber(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	phone := p.browser(iPhone)
	s := p.signedIn("anna", linux).offerBelowTen()
	for _, typed := range []string{"", " ", "7", "+7", "0" + s.number, "99999", "٤٧", `"><script>`} {
		got := phone.post(s.path, "number", typed)
		if got.status != 422 || got.value("number") != typed || !strings.Contains(got.text(), "Enter both digits") {
			t.Errorf("%q: got %d, field %q: %s", typed, got.status, got.value("number"), got.text())
		}
	}
	if got := p.entries(audit.HandoffBurnt); got != 0 {
		t.Errorf("%d hand-offs ended", got)
	}
	if got := phone.post(s.path, "number", " "+s.number); got.location() != "/new" {
		t.Errorf("%q: got %d to %q", s.number, got.status, got.location())
	}
}

func TestHandoffTypedCode(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	phone := p.browser(android)
	tests := []struct {
		name, typed string
		want        string // location; empty for the form again
	}{
		{"as shown", "7F3K-9QXM", "/go/7F3K9QXM"},
		{"small letters and spaces", " 7f3k 9qxm ", "/go/7F3K9QXM"},
		{"short", "7F3K-9QX", ""},
		{"letters that are in no code", "7F3K-9QXO", ""},
		{"markup", `"><script>alert(1)</script>`, ""},
		{"path", "../new", ""},
		{"empty", "", ""},
		{"long", strings.Repeat("-", 100) + "7F3K9QXM", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := phone.post("/go", "code", tt.typed)
			if got.location() != tt.want || (tt.want == "" && got.status != 422) {
				t.Errorf("got %d to %q, want %q", got.status, got.location(), tt.want)
			}
			if tt.want == "" && got.value("code") != tt.typed {
				t.Errorf("the field holds %q, want what was typed", got.value("code"))
			}
		})
	}
	for _, path := range []string{"/go", "/go/7F3K9QXM", "/handoff"} {
		if got := p.signedIn("anna", linux).post(path, "person", "ben"); got.status != 400 {
			t.Errorf("POST %s with a field of no form: got %d", path, got.status)
		}
	}
}

// TestQuotaOnThePhone: a phone's session sees that the quota is reached, but not the
// other devices.
func TestQuotaOnThePhone(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop := p.signedIn("anna", linux)
	for i := range enroll.DefaultQuota - 1 {
		desktop.enrol(fmt.Sprintf("Device %d", i), "linux")
	}
	phone := p.newHandoffPhone(desktop)
	desktop.enrol("Last device", "linux")
	got := phone.get("/new")
	if got.status != 409 || bytes.Contains(got.body, []byte("Device 1")) {
		t.Errorf("got %d: %s", got.status, got.text())
	}
}

// TestHandoffWithSSO sends an old session to the provider again, and not round in a
// circle.
func TestHandoffWithSSO(t *testing.T) {
	t.Parallel()
	c := newSSOPortal(t, passwordOff)
	b := c.browser(linux)
	b.get(c.leave(b, "/login/sso"))
	c.clock.Advance(10 * time.Minute)
	b.get("/")
	c.clock.Advance(6 * time.Minute)
	got := b.get(b.post("/handoff").location())
	link := got.id("sso")
	if got.status != 200 || link == nil {
		t.Fatalf("sign-in page: got %d to %q: %s", got.status, got.location(), got.text())
	}
	if got := b.get(c.leave(b, attr(link, "href"))); got.location() != "/handoff" {
		t.Fatalf("coming back: got %d to %q: %s", got.status, got.location(), got.text())
	}
	b.offer()
}
