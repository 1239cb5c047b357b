package web_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/succession"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// revokeAuthority revokes the CA that issues. Then none does.
func (p *testPortal) revokeAuthority() {
	p.t.Helper()
	now := p.clock.Now()
	record := succession.Record{
		Name: "issuing", Fingerprint: sha256.Sum256([]byte("issuing")), State: succession.Active, NotAfter: now.AddDate(5, 0, 0), Added: now, Activated: now,
	}
	testkit.NoError(p.t, p.db.AddAuthority(p.t.Context(), record, fixture.NewEntry(now, audit.CAAdded, "")))
	r := succession.Revocation{Name: "issuing", Serial: testkit.Must(ca.NewSerial(nil))(p.t), NotAfter: record.NotAfter, Reason: 1, At: now}
	testkit.NoError(p.t, p.db.RevokeAuthority(p.t.Context(), r, r.Entry("operator")))
}

// activateNext lets another CA issue.
func (p *testPortal) activateNext() {
	p.t.Helper()
	now := p.clock.Now()
	record := succession.Record{Name: "issuing-2", Fingerprint: sha256.Sum256([]byte("2")), State: succession.Pending, NotAfter: now.AddDate(5, 0, 0), Added: now}
	testkit.NoError(p.t, p.db.AddAuthority(p.t.Context(), record, fixture.NewEntry(now, audit.CAAdded, "")))
	testkit.NoError(p.t, p.db.ActivateAuthority(p.t.Context(), "issuing-2", now, fixture.NewEntry(now, audit.CAActivated, "")))
}

// After the CA was revoked its owner, the helpdesk and administrators read the same words
// about a device, and are led to the next certificate once there can be one.
func TestA13_DeviceOfARevokedAuthority(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	anna, ada, hedi := p.signedIn("anna", linux), p.signedIn("ada", linux), p.signedIn("hedi", linux)
	device := anna.enrol("iPhone", "ios")
	anna.download(device)
	p.clock.Advance(time.Minute)
	p.revokeAuthority()
	const words, stopped = "Must be replaced", "Certificates from before no longer work."
	for name, got := range map[string]answer{
		"home": anna.get("/?lang=en"), "device": anna.get(device + "?lang=en"), "helpdesk": hedi.get("/helpdesk/people/id-of-anna?lang=en"),
		"list": ada.get("/admin/certificates?status=void&lang=en"),
	} {
		if !strings.Contains(got.text(), words) {
			t.Errorf("%s does not say %q: %s", name, words, got.text())
		}
	}
	if got := ada.get("/admin/certificates?status=working&lang=en").text(); strings.Contains(got, "iPhone") {
		t.Errorf("counts as working: %s", got)
	}
	for _, path := range []string{"/new?p=ios", device + "/renew?"} {
		if got := anna.get(path + "&lang=en"); !strings.Contains(got.text(), "We cannot make certificates right now") && !strings.Contains(got.text(), stopped) {
			t.Errorf("%s: status %d: %s", path, got.status, got.text())
		}
	}

	p.activateNext()
	got := anna.get(device + "?lang=en")
	if !strings.Contains(got.text(), "no longer accepted anywhere") || got.link("Renew iPhone") != device+"/renew" {
		t.Errorf("device page: %s", got.text())
	}
	if got := anna.get("/?lang=en"); !strings.Contains(got.text(), "Renew iPhone") {
		t.Errorf("home: %s", got.text())
	}
	if got := anna.get(device + "/renew?lang=en").text(); !strings.Contains(got, "Servers no longer accept the old one") || strings.Contains(got, "works until") {
		t.Errorf("renewal: %s", got)
	}
	overview := ada.get("/admin?lang=en")
	if !strings.Contains(overview.text(), "0 of 1") || overview.link("Who still has to renew") != "/admin/certificates?authority=issuing&status=void" {
		t.Errorf("overview: %s", overview.text())
	}
}
