package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestA18_HostileNamesInTheBrowser gives devices names that try to be something
// else, and has a browser with scripts on show every page that prints them: the
// names stand there as text and make no element. A dialog would stop the browser
// and with it the test.
func TestA18_HostileNamesInTheBrowser(t *testing.T) {
	need(t, "chromium")
	d := startDemo(t, "CERTPORTAL_CERTIFICATES_DEVICES=100", "CERTPORTAL_CERTIFICATES_KEY=ec-p256")
	names := []string{
		`<script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `"><svg onload=alert(1)>`,
		`javascript:alert(1)`, `{{.Org}} ${7*7} <%=1%>`, `' onmouseover='alert(1)`, `</title><script>alert(1)//`,
		`<style>*{display:none}</style>`, `=HYPERLINK("http://x","y")`, `&lt;b&gt; & &amp;`, `<a href=//evil.example>x</a>`,
	}
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	var installs []string
	for i, name := range names {
		resp, err := d.post(t.Context(), c, "/new", url.Values{"name": {name}, "platform": {"android"}, "request": {"hostile-name-" + strings.Repeat("x", i+8)}})
		if err != nil || resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("%q: %v, %v", name, resp, err)
		}
		installs = append(installs, resp.Header.Get("Location"))
	}
	b := openTab(t, look{scripts: true})
	b.signIn(d, d.person("employee"))
	paths := []string{"/"}
	for _, install := range installs {
		device := strings.TrimSuffix(install, "/install")
		paths = append(paths, install, device, device+"/remove")
	}
	for _, path := range paths {
		b.open(d.https + path)
		if got := eval[int](b, `document.querySelectorAll("main script, main img, main style, main a[href^='//'], [onload], [onerror], [onmouseover]").length`); got != 0 {
			t.Errorf("%s holds %d elements that a name made", path, got)
		}
	}
	b.open(d.https + "/")
	shown := eval[[]string](b, `[...document.querySelectorAll("main [data-device] bdi")].map(e => e.textContent)`)
	for _, name := range names {
		if !slices.Contains(shown, name) {
			t.Errorf("%q does not stand on the home page as it was typed", name)
		}
	}
}
