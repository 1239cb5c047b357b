package web_test

import (
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/web"
)

// Of a certificate that another CA must list, the pages say what its lists say: to the person
// until when servers may accept it, to the administrator which list names it.
func TestPagesSayWhatListsElsewhereSay(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	company := fixture.NewUpstreamCA(t, p.clock.Now)
	lists := company.Lists("/company.crl")
	registrar := p.newRegistrar(fixture.Hierarchy(t, "ec-p256"), p.config.Log, func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	p.reopen(func(c *web.Config) { c.Registrar, c.Admin = registrar, p.newAdmin() })
	look := func() {
		t.Helper()
		p.clock.Advance(11 * time.Minute)
		testkit.NoError(t, registrar.SweepUpstream(t.Context()))
	}
	anna := p.signedIn("anna", android)
	device := anna.enrol("Galaxy", "android")
	lists.Publish("/company.crl", 7)
	if got := anna.post(device+"/lost", "reason", "lost"); got.status != 303 {
		t.Fatalf("blocking: status %d", got.status)
	}
	serial := company.Live()[0].SerialNumber
	path := "/admin/certificates/" + testkit.Must(ca.SerialOf(serial))(t).String() + "?lang=en"
	says := func(state, person, administrator string) {
		t.Helper()
		if text := p.signedIn("anna", android).get(device + "/lost?lang=en").text(); !strings.Contains(text, person) {
			t.Errorf("%s: the person's page lacks %q: %s", state, person, text)
		}
		if text := p.signedIn("ada", linux).get(path).text(); !strings.Contains(text, administrator) {
			t.Errorf("%s: the administrator's page lacks %q: %s", state, administrator, text)
		}
	}
	says("not asked", "has not confirmed it yet", "Not known: no list could be read since")
	look()
	says("confirmed", "does not contain it yet. Servers may still let the device in until 29 November 2026, 12:00 UTC", "None of its lists names it. The newest is of 22 November 2026, 12:00:00 UTC")
	p.clock.Advance(11 * time.Minute)
	lists.Publish("/company.crl", 8)
	look()
	says("missing", "its newest list does not contain it", "None of its lists names it")
	lists.Publish("/company.crl", 9, fixture.Names(serial, 1))
	look()
	says("named", "by 29 November 2026", "Number 9 names it, made 22 November 2026")
	if text := p.signedIn("ada", linux).get("/admin/ca?lang=en").text(); !strings.Contains(text, "Revocation lists of company") || !strings.Contains(text, lists.URL+"/company.crl Fresh") {
		t.Errorf("the page of the CAs: %s", text)
	}
}

// A certificate that its CA ended by itself is shown as blocked, with who ended it.
func TestPagesSayThatTheCAEndedIt(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	company := fixture.NewUpstreamCA(t, p.clock.Now)
	lists := company.Lists("/company.crl")
	registrar := p.newRegistrar(fixture.Hierarchy(t, "ec-p256"), p.config.Log, func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	p.reopen(func(c *web.Config) { c.Registrar, c.Admin = registrar, p.newAdmin() })
	anna := p.signedIn("anna", android)
	device := anna.enrol("Galaxy", "android")
	serial := company.Live()[0].SerialNumber
	lists.Publish("/company.crl", 7, fixture.Names(serial, 1))
	testkit.NoError(t, registrar.SweepUpstream(t.Context()))
	if text := anna.get(device + "?lang=en").text(); !strings.Contains(text, "Blocked") || !strings.Contains(text, "The company’s certificate authority ended the certificate of this device") {
		t.Errorf("the person's page: %s", text)
	}
	text := p.signedIn("ada", linux).get("/admin/certificates/" + testkit.Must(ca.SerialOf(serial))(t).String() + "?lang=en").text()
	for _, want := range []string{"Its authority revoked it by itself: the list 7 of", "upstream-company", "Number 7 names it"} {
		if !strings.Contains(text, want) {
			t.Errorf("the administrator's page lacks %q: %s", want, text)
		}
	}
}
