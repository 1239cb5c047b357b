package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestSearchWhileTyping: the hits follow what is typed, and so does the address, which can
// be reloaded and sent to a colleague.
func TestSearchWhileTyping(t *testing.T) {
	need(t, "chromium")
	d := startDemo(t)
	phone := openTab(t, look{agent: androidUA})
	phone.signIn(d, d.person("employee"))
	phone.open(d.https + "/new")
	phone.press("main form .btn")

	b := openTab(t, look{agent: windowsUA, width: 1280, scripts: true})
	b.signIn(d, d.person("admin"))
	b.open(d.https + "/admin/certificates")
	b.do(chromedp.SendKeys("[data-live]", "zzzz"))
	address := func() (string, bool) {
		got := eval[string](b, "location.search")
		return got, strings.Contains(got, "q=zzzz")
	}
	b.await(address, "the typed words in the address")
	if got := b.text("#results"); strings.Contains(got, "Anna") {
		t.Errorf("hits of another search: %s", got)
	}
	b.open(eval[string](b, "location.href"))
	if got := eval[string](b, "document.querySelector('[data-live]').value"); got != "zzzz" {
		t.Errorf("after a reload the box holds %q", got)
	}
}
