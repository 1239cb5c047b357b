package web_test

import (
	"strings"
	"sync"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

func TestStranger(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	anna, ben := p.signedIn("anna", iPhone), p.signedIn("ben", android)
	device := anna.enrol("Anna's iPhone", "ios")
	for _, path := range []string{device, device + "/install", device + "/remove"} {
		if got := ben.get(path); got.status != 404 || strings.Contains(got.text(), "Anna's") {
			t.Errorf("GET %s: got %d, want 404", path, got.status)
		}
	}
	for _, path := range []string{device + "/install", device + "/remove"} {
		if got := ben.post(path); got.status != 404 {
			t.Errorf("POST %s: got %d, want 404", path, got.status)
		}
	}
	for _, id := range []string{"none", "A", "..", "%2e%2e", "x%00", "%ff", strings.Repeat("a", 65), "a'--"} {
		if got := ben.get("/devices/" + id); got.status != 404 {
			t.Errorf("device %q: got %d, want 404", id, got.status)
		}
	}
	if got := p.certificates("anna"); got[portal.Issued] != 1 {
		t.Errorf("certificates: got %v, want anna's untouched", got)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	href, _ := b.download(device)
	if got := b.get(device + "/remove"); got.status != 200 || !strings.Contains(got.text(), "Anna's iPhone") {
		t.Errorf("question: got %d", got.status)
	}
	if got := b.post(device + "/remove"); got.status != 303 || got.location() != "/?removed="+strings.TrimPrefix(device, "/devices/") {
		t.Errorf("removing: got %d to %q", got.status, got.location())
	}
	if got := b.post(device + "/remove"); got.status != 303 || got.location() != "/?removed="+strings.TrimPrefix(device, "/devices/") {
		t.Errorf("removing again: got %d to %q, want the devices", got.status, got.location())
	}
	if got := p.signedIn("ben", android).post(device + "/remove"); got.status != 404 {
		t.Errorf("removing it as somebody else: got %d, want 404", got.status)
	}
	if got := b.get(device + "/remove"); got.status != 404 {
		t.Errorf("question about it: got %d, want 404", got.status)
	}
	if got := b.post(device+"/install", "request", "x"); got.status != 404 {
		t.Errorf("new file for it: got %d, want 404", got.status)
	}
	if got := b.get(href); got.status != 410 {
		t.Errorf("its file: got %d, want 410", got.status)
	}
	if got := p.entries(audit.CertificateRevoked); got != 1 {
		t.Errorf("got %d revoked, want 1", got)
	}
}

// TestDoubleTapOnRemove sends one removal many times at once: every answer leads
// to the devices, and one certificate is revoked.
func TestDoubleTapOnRemove(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	answers := make([]answer, 6)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = b.post(device + "/remove") })
	}
	wg.Wait()
	for i, a := range answers {
		if a.status != 303 || !strings.HasPrefix(a.location(), "/?removed=") {
			t.Errorf("tap %d: got %d to %q, want 303 to the devices", i, a.status, a.location())
		}
	}
	if got := p.entries(audit.CertificateRevoked); got != 1 {
		t.Errorf("got %d revoked, want 1", got)
	}
}
