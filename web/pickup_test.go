package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web"
)

func TestPickupSignedOut(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.browser(android)
	for path, want := range map[string]string{
		"/pickup": "/login?next=%2Fpickup", "/pickup/7F3K9QXM2WTA": "/login?next=%2Fpickup%2F7F3K9QXM2WTA",
	} {
		if got := b.get(path); got.status != 303 || got.location() != want {
			t.Errorf("%s: got %d, %s", path, got.status, got.location())
		}
	}
	if got := b.post("/pickup", "code", "7F3K9QXM2WTA"); got.status != 303 || got.location() != "/login?next=%2Fpickup" {
		t.Errorf("POST: got %d, %s", got.status, got.location())
	}
	if got := b.get("/login"); !strings.Contains(got.text(), "I have a pickup code from the helpdesk") {
		t.Error("the sign-in page does not lead to the pickup page")
	}
}

func TestA8_WrongPickupCodes(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	hedi, anna, ben := p.signedIn("hedi", linux), p.signedIn("anna", android), p.signedIn("ben", android)
	code, _ := hedi.giveCode("anna", "video")
	for _, typed := range []string{"", "short", "7F3K-9QXM-2WT0", strings.Repeat("A", 100)} {
		if got := ben.post("/pickup", "code", typed); got.status != 422 || !strings.Contains(got.text(), "Enter the 12 letters") {
			t.Errorf("%q: got %d: %s", typed, got.status, got.text())
		}
	}
	alike := map[string]bool{}
	for n, typed := range []string{"222222222222", code, "333333333333", code, "444444444444"} {
		got := ben.post("/pickup", "code", typed)
		left := fmt.Sprintf("You have %d tries left.", signin.PickupTries-1-n)
		switch signin.PickupTries - 1 - n {
		case 1:
			left = "You have 1 try left."
		case 0:
			left = "You have no tries left for 15 minutes."
		}
		if got.status != 422 || !strings.Contains(got.text(), left) {
			t.Errorf("try %d: got %d: %s", n, got.status, got.text())
		}
		alike[strings.NewReplacer(left, "", typed, "").Replace(got.text())] = true
	}
	if len(alike) != 1 {
		t.Errorf("somebody else's code has another page than one that never was: %v", alike)
	}
	if got := ben.post("/pickup", "code", code); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("in the pause: got %d", got.status)
	}
	if got := anna.post("/pickup", "code", code); got.status != 303 {
		t.Errorf("its person: got %d: %s", got.status, got.text())
	}
	p.clock.Advance(7 * time.Minute)
	anna.get("/")
	for range 24 * 6 {
		p.clock.Advance(10 * time.Minute)
	}
	anna = p.signedIn("anna", android)
	if got := anna.post("/pickup", "code", code); got.status != 410 || !strings.Contains(got.text(), "has run out") {
		t.Errorf("a day later: got %d: %s", got.status, got.text())
	}
	if got := anna.get("/pickup/" + joined(code)); got.status != 410 {
		t.Errorf("its address a day later: got %d", got.status)
	}
}

// A code whose maker saw the person lets them in, for one certificate.
func TestPickupAlone(t *testing.T) {
	t.Parallel()
	p := newMailPortal(t)
	hedi := p.signedIn("hedi", linux)
	telephone, _ := hedi.mailCode(p, "ben", "called-back")
	code, _ := hedi.mailCode(p, "anna", "in-person")
	phone := p.browser(android)
	if got := phone.get("/pickup"); got.status != 200 || got.value("code") != "" {
		t.Fatalf("got %d: %s", got.status, got.text())
	}
	for _, typed := range []string{telephone, "222222222222"} {
		if got := phone.post("/pickup", "code", typed); got.status != 422 || strings.Contains(got.text(), "left") {
			t.Errorf("%s: got %d: %s", typed, got.status, got.text())
		}
		if got := phone.get("/pickup/" + joined(typed)); got.status != 303 || got.location() != "/login?next=%2Fpickup%2F"+joined(typed) {
			t.Errorf("address of %s: got %d", typed, got.status)
		}
	}
	shown := phone.get("/pickup/" + joined(code))
	if shown.status != 200 || !strings.Contains(shown.text(), "A** M**") || strings.Contains(shown.text(), "Anna") {
		t.Errorf("got %d: %s", shown.status, shown.text())
	}
	if got := phone.post("/pickup", "code", code); got.status != 303 || got.location() != "/new" {
		t.Fatalf("got %d: %s", got.status, got.text())
	}
	second := p.browser(android)
	if got := second.post("/pickup", "code", code); got.status != 303 {
		t.Fatalf("a second phone before the first is done: got %d", got.status)
	}
	if got := phone.get("/"); got.status != 403 {
		t.Errorf("all devices: got %d", got.status)
	}
	device := phone.enrol("Anna's Galaxy", "android")
	phone.download(device)
	if got := phone.get("/new"); got.location() != device+"/install" {
		t.Errorf("once more: got %d, %s", got.status, got.location())
	}
	if got := second.post("/new", "name", "Other", "platform", "android", "request", "x"); got.location() != device+"/install" {
		t.Errorf("the second phone: got %d, %s", got.status, got.location())
	}
	if got := second.get(device + "/install"); got.id("install-password") != nil || got.id("download") != nil {
		t.Error("the second phone sees the file of the first")
	}
	if got := p.browser(android).post("/pickup", "code", code); got.status != 422 {
		t.Errorf("a used code of a stranger: got %d", got.status)
	}
	if n := p.certificates("anna")[portal.Issued]; n != 1 {
		t.Errorf("%d certificates, want 1", n)
	}
	if n := p.entries(audit.InvitationRedeemed); n != 1 {
		t.Errorf("%d codes used, want 1", n)
	}
}

// TestF22_PickupInTwoTabs: two tabs with one code; one gets the certificate, the other
// an explanation.
func TestF22_PickupInTwoTabs(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	hedi, phone, tablet := p.signedIn("hedi", linux), p.signedIn("anna", android), p.signedIn("anna", iPhone)
	code, _ := hedi.giveCode("anna", "video")
	for _, b := range []*browser{phone, tablet} {
		if got := b.post("/pickup", "code", code); got.status != 303 {
			t.Fatalf("got %d", got.status)
		}
	}
	var openChallengeOf sync.WaitGroup
	results := make([]answer, 2)
	for n, b := range []*browser{phone, tablet} {
		openChallengeOf.Go(func() {
			results[n] = b.post("/new", "name", fmt.Sprint("Device ", n), "platform", "android", "request", fmt.Sprint("form-", n))
		})
	}
	openChallengeOf.Wait()
	statuses := map[int]int{}
	for n, got := range results {
		statuses[got.status]++
		if got.status == http.StatusGone {
			if !strings.Contains(got.text(), "used in between") {
				t.Errorf("got %s", got.text())
			}
			// Enrolling needs no code here.
			if got := []*browser{phone, tablet}[n].post("/new", "name", "Third", "platform", "android", "request", "form-3"); got.status != 303 {
				t.Errorf("again without a code: got %d: %s", got.status, got.text())
			}
		}
	}
	if statuses[303] != 1 || statuses[410] != 1 {
		t.Errorf("got %v", statuses)
	}
}

// For a device that did not work, the code leads to a new file.
func TestPickupForADevice(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	hedi, anna := p.signedIn("hedi", linux), p.signedIn("anna", android)
	device := anna.enrol("Galaxy", "android")
	id := strings.TrimPrefix(device, "/devices/")
	made := hedi.post(annaPage+"/code", "checked", "video", "note", "", "purpose", "broken", "device", id)
	code := nodeText(hedi.get(made.location()).id("pickup-code"))
	if got := anna.post("/pickup", "code", code); got.location() != "/pickup" {
		t.Fatalf("got %d, %s", got.status, got.location())
	}
	ready := anna.get("/pickup")
	if !strings.Contains(ready.text(), "Your code is right") || ready.value("request") == "" {
		t.Fatalf("got %s", ready.text())
	}
	if got := anna.post(device+"/install", "request", ready.value("request")); got.location() != device+"/install" {
		t.Fatalf("got %d: %s", got.status, got.text())
	}
	if got := anna.get("/pickup"); strings.Contains(got.text(), "Your code is right") {
		t.Error("the code is still there")
	}
	if p.entries(audit.InvitationRedeemed) != 1 {
		t.Error("the code was not used up")
	}
}

// Where a code is required, every way to a certificate leads past the helpdesk.
func TestCodeRequired(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	hedi := p.signedIn("hedi", linux)
	p.registrar = p.newCodeRegistrar()
	p.reopen(func(c *web.Config) { c.Registrar = p.registrar; c.Helpdesk = p.newHelpdesk(c.SignIn) })
	anna := p.signedIn("anna", android)
	for _, path := range []string{"/new", "/new/key"} {
		if got := anna.get(path); got.status != 303 || got.location() != "/pickup" {
			t.Errorf("%s: got %d, %s", path, got.status, got.location())
		}
	}
	if got := anna.post("/new", "name", "x", "platform", "android", "request", "a"); got.location() != "/pickup" {
		t.Errorf("POST /new: got %d: %s", got.status, got.text())
	}
	if got := anna.get("/pickup"); !strings.Contains(got.text(), "you need a pickup code") || strings.Contains(got.text(), "without a code") {
		t.Errorf("got %s", got.text())
	}
	code, _ := hedi.giveCode("anna", "video")
	if got := anna.post("/pickup", "code", code); got.location() != "/new" {
		t.Fatalf("got %d: %s", got.status, got.text())
	}
	device := anna.enrol("Galaxy", "android")
	if got := anna.post(device+"/install", "request", "b"); got.location() != "/pickup" {
		t.Errorf("a second file with the same code: got %d, %s", got.status, got.location())
	}
	if n := p.certificates("anna"); n[portal.Issued] != 1 || n[portal.Revoked] != 0 {
		t.Errorf("got %v", n)
	}
	if _, err := web.New(withoutHelpdesk(p.config)); err == nil {
		t.Error("a code is required that nobody can give")
	}
}

func withoutHelpdesk(c web.Config) web.Config {
	c.Helpdesk = nil
	return c
}

// A session that a code opened is good for that code: once the helpdesk replaced it,
// there is nothing to be had.
func TestA4_ReplacedCodeLeavesNothing(t *testing.T) {
	t.Parallel()
	p := newMailPortal(t)
	hedi := p.signedIn("hedi", linux)
	seen, _ := hedi.mailCode(p, "anna", "in-person")
	thief := p.browser(android)
	if got := thief.post("/pickup", "code", seen); got.location() != "/new" {
		t.Fatalf("got %d: %s", got.status, got.text())
	}
	hedi.mailCode(p, "anna", "in-person")
	for n, form := range []string{"a", "b", "c"} {
		got := thief.post("/new", "name", "Burner", "platform", "android", "request", form)
		if got.status != 410 {
			t.Errorf("try %d: got %d, %s", n, got.status, got.location())
		}
	}
	if n := p.certificates("anna")[portal.Issued]; n != 0 {
		t.Errorf("%d certificates for whoever had the replaced code", n)
	}
}
