package web_test

import (
	"bytes"
	"crypto"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/web"
)

// heldIssuer prepares certificates only when it is opened.
type heldIssuer struct {
	enroll.Issuer
	entered chan struct{} // one for each enrolment that waits
	open    chan struct{}
}

// Prepare implements enroll.Issuer.
func (h *heldIssuer) Prepare(p *ca.Profile, s ca.Subject, key crypto.PublicKey, now time.Time) (*ca.Prepared, error) {
	h.entered <- struct{}{}
	<-h.open
	return h.Issuer.Prepare(p, s, key, now)
}

// heldPortal is a portal for two enrolments at the same time, both of which wait.
func heldPortal(t *testing.T) (*testPortal, *heldIssuer, *enroll.KeyPool) {
	t.Helper()
	p := newPortal(t)
	held := &heldIssuer{entered: make(chan struct{}, 10), open: make(chan struct{})}
	keys := enroll.NewKeyPool(ca.ECP256, 0, p.config.Log).Limit(2)
	p.registrar = p.newRegistrar(fixture.Hierarchy(t, ca.ECP256), p.config.Log, func(c *enroll.Config) {
		held.Issuer, c.Issuer, c.Keys = c.Issuer, held, keys
	})
	p.reopen(func(c *web.Config) { c.Registrar = p.registrar })
	return p, held, keys
}

// With two enrolments in progress, which is the limit here, the third is refused at once: 503,
// Retry-After, and a page in words with a button that sends the form again. The two get what
// they asked for, the third after them too, and nothing half made is left.
func TestL9_TheThirdIsRefused(t *testing.T) {
	t.Parallel()
	p, held, keys := heldPortal(t)
	var working sync.WaitGroup
	for _, login := range []string{"anna", "ben"} {
		b := p.signedIn(login, android)
		working.Go(func() { b.enrol("Phone of "+login, "android") })
		<-held.entered
	}
	b := p.signedIn("hedi", android)
	form := []string{"name", "Third phone", "platform", "android", "request", "third"}
	for lang, words := range map[string][]string{
		"en":      {"Many people are getting a certificate right now", "Nothing was issued yet.", "Wait a few seconds"},
		"de":      {"Gerade holen sich sehr viele ein Zertifikat", "noch nichts ausgestellt", "Warten Sie ein paar Sekunden"},
		"zh-Hans": {"目前有很多人在获取证书", "尚未签发任何证书", "请等待几秒钟后重试"},
	} {
		b.get("/new?lang=" + lang)
		got := b.post("/new", form...)
		testkit.Equal(t, "status", got.status, http.StatusServiceUnavailable)
		testkit.Equal(t, "Retry-After", got.header.Get("Retry-After"), "5")
		for _, want := range words {
			testkit.Contains(t, "the page", got.text(), want)
		}
		again := got.node(func(n *html.Node) bool { return n.Data == "form" && attr(n, "action") == "/new" })
		if again == nil || attr(again, "method") != "post" || got.value("request") != "third" {
			t.Errorf("the page lacks the form to send again: %s", got.body)
		}
	}
	testkit.Equal(t, "devices of the third", len(p.certificates("hedi")), 0)
	testkit.Equal(t, "entries about refusals", p.entries(audit.EnrolmentRefused), 0)
	testkit.Equal(t, "load", keys.Load(), enroll.Load{InProgress: 2, Limit: 2, Refused: 3})
	p.restIsServed(b)

	close(held.open)
	working.Wait()
	testkit.Equal(t, "status of the same form later", b.post("/new", form...).status, http.StatusSeeOther)
	for _, login := range []string{"anna", "ben", "hedi"} {
		got := p.certificates(login)
		if len(got) != 1 || got[portal.Issued] != 1 {
			t.Errorf("%s has %v, want one that is issued", login, got)
		}
	}
	left := testkit.Must(p.db.Unfinished(t.Context(), p.clock.Now().Add(time.Hour), 10))(t)
	testkit.Equal(t, "certificates half made", len(left), 0)
	testkit.Equal(t, "load afterwards", keys.Load(), enroll.Load{Limit: 2, Refused: 3})
}

// restIsServed wants pages, lists and the person's own key beside the enrolments that wait.
func (p *testPortal) restIsServed(b *browser) {
	p.t.Helper()
	for _, path := range []string{"/", "/new", "/help", "/login"} {
		if got := b.get(path); got.status >= 500 {
			p.t.Errorf("%s: got %d: %s", path, got.status, got.text())
		}
	}
	resp, err := http.Get(p.plain.URL + "/crl/issuing.crl")
	testkit.NoError(p.t, err)
	defer resp.Body.Close()
	testkit.Equal(p.t, "status of the list", resp.StatusCode, http.StatusOK)
	online, err := http.Post(p.plain.URL+"/ocsp", "application/ocsp-request", bytes.NewReader(p.question(p.issuing)))
	testkit.NoError(p.t, err)
	defer online.Body.Close()
	testkit.Equal(p.t, "status of an OCSP answer", online.StatusCode, http.StatusOK)
}
