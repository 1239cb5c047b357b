package web_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// TestKeylessOverlap renews a phone that makes its key: until it fetched the new
// certificate nothing changes, and another profile is no reason to end the old one.
func TestKeylessOverlap(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t)
	if _, err := k.redeem(k.secret(k.browser(linux).get(k.href).body), 0); err != nil {
		t.Fatal(err)
	}
	k.clock.Advance(345 * day)
	again := k.signedIn("anna", iPhone)
	question := again.get(k.device + "/renew?lang=en")
	if !strings.Contains(question.text(), "Installing replaces the old profile") {
		t.Errorf("question: %s", question.text())
	}
	if got := again.post(k.device+"/renew", "request", question.value("request")); got.location() != k.device+"/install" {
		t.Fatalf("got %d to %q: %s", got.status, got.location(), got.text())
	}
	page := again.get(k.device + "/install")
	if page.node(withAction(k.device+"/install")) == nil {
		t.Errorf("no form to try again: %s", page.text())
	}
	k.clock.Advance(time.Minute)
	again.post(k.device+"/renew", "request", "second try")
	if _, err := k.redeem(k.secret(k.browser(linux).get(again.profile(k.device)).body), 1); err != nil {
		t.Fatal(err)
	}
	if got := k.entries(audit.CertificateSuperseded); got != 1 || k.entries(audit.CertificateRevoked) != 0 {
		t.Errorf("%d superseded, %d revoked, want one and none", got, k.entries(audit.CertificateRevoked))
	}
	there := again.get(k.device + "/install?lang=en")
	if !strings.Contains(there.text(), "The certificate is on the phone") || there.id("finish") == nil {
		t.Errorf("afterwards: %s", there.text())
	}
	if got := again.post(k.device + "/finish"); got.status != 303 || k.entries(audit.CertificateRevoked) != 1 {
		t.Errorf("finishing: got %d", got.status)
	}
}

// TestBroughtRenewal: renewing a person's own key needs a new request, and a private
// key is refused.
func TestBroughtRenewal(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	device := p.signedIn("anna", linux).brought("Server", newRequest(t, newKey(t)))
	p.clock.Advance(345 * day)
	b := p.signedIn("anna", linux)
	question := b.get(device + "/renew")
	if question.id("csr") == nil {
		t.Fatalf("no field for a request: %s", question.text())
	}
	tests := []struct{ name, csr, words string }{
		{"nothing", "", ""},
		{"nonsense", "hello", "hello"},
		{"a private key", "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----", ""},
	}
	for _, tt := range tests {
		got := b.post(device+"/renew", "request", "one", "csr", tt.csr)
		if got.status != 422 || got.id("csr-error") == nil || strings.TrimSpace(nodeText(got.id("csr"))) != tt.words {
			t.Errorf("%s: got %d with %q", tt.name, got.status, nodeText(got.id("csr")))
		}
	}
	if got := b.post(device+"/renew", "request", "one", "csr", newRequest(t, newKey(t))); got.location() != device+"/install" {
		t.Fatalf("got %d to %q: %s", got.status, got.location(), got.text())
	}
	if got := p.entries(audit.CertificateSuperseded); got != 1 {
		t.Errorf("%d superseded, want 1", got)
	}
	if b.get(device+"/install").id("finish") == nil {
		t.Error("nothing ends the old certificate")
	}
	file := b.enrol("Phone", "android")
	if got := b.post(file+"/renew", "request", "x", "csr", newRequest(t, newKey(t))); got.status != 400 {
		t.Errorf("a request for a device with a file: got %d, want 400", got.status)
	}
}

// TestNotBlocked breaks the store in two ways while a lost phone is blocked: the page
// says that it is not blocked, and offers to try again.
func TestNotBlocked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fail   func(t *testing.T, p *testPortal)
		reason portal.Cause // that trying again sends
	}{
		// Without a session no form is read: the page assumes the most serious reason.
		{"store gone", func(t *testing.T, p *testPortal) {
			if err := p.db.Close(); err != nil {
				t.Fatal(err)
			}
		}, portal.Lost},
		{"ledger full", stopLedger, portal.Retired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t, "android")
			tt.fail(t, f.testPortal)
			got := f.owner.post(f.device+"/lost", "reason", string(portal.Retired))
			if got.status != 503 || !strings.Contains(got.text(), "The device was NOT blocked") {
				t.Fatalf("got %d: %s", got.status, got.text())
			}
			if strings.Contains(got.text(), "certificates still work.") || strings.Contains(got.text(), "Nothing was issued") {
				t.Errorf("the page comforts: %s", got.text())
			}
			if got.node(withAction(f.device+"/lost")) == nil || got.value("reason") != string(tt.reason) {
				t.Errorf("trying again sends %q", got.value("reason"))
			}
		})
	}
}
