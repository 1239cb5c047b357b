package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// browserTool gives the path of a file of axe-core or Lighthouse.
func browserTool(t *testing.T, parts ...string) string {
	t.Helper()
	tools := os.Getenv("E2E_BROWSER_TOOLS")
	if cache, err := os.UserCacheDir(); tools == "" && err == nil {
		tools = filepath.Join(cache, "certportal-test", "browser-1") // where scripts/test puts them
	}
	path := filepath.Join(append([]string{tools, "node_modules"}, parts...)...)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", filepath.Join(parts...))
	}
	t.Skipf("%s is not installed: scripts/test installs it", filepath.Join(parts...))
	return ""
}

// screen is one state a person can see.
type screen struct {
	name string
	show func(*tab, *demo)
}

func at(path string) func(*tab, *demo) {
	return func(b *tab, d *demo) { b.open(d.https + path) }
}

// screens lists every page in an order one visitor can walk: first as a
// visitor, then signed in without devices, then with.
func screens() []screen {
	longName := "Dienst-Smartphone Außenstelle Süd-West 7" // forty characters
	return []screen{
		{"login", at("/login")},
		{"login-error", func(b *tab, d *demo) { b.open(d.https + "/login"); b.press("main form .btn") }},
		{"login-wrong", func(b *tab, d *demo) {
			b.open(d.https + "/login")
			b.fill(`input[name="username"]`, "nobody.with.a.very.long.name.that.goes.on@a-long-domain-name.corp.example.org")
			b.fill(`input[name="password"]`, "wrong")
			b.press("main form .btn")
		}},
		{"help", at("/help")},
		{"ca", at("/ca")},
		{"ca-ios", at("/ca?p=ios")},
		{"ca-windows", at("/ca?p=windows")},
		{"link-unknown", at("/d/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/x.p12")},
		{"home-empty", func(b *tab, d *demo) { b.signIn(d, d.person("employee")) }},
		{"new", at("/new")},
		{"new-error", func(b *tab, d *demo) {
			b.open(d.https + "/new")
			b.fill(`input[name="name"]`, " ")
			b.press("main form .btn")
		}},
		{"new-key", at("/new/key")},
		{"new-key-error", func(b *tab, d *demo) { b.bring(d, longName+"!", newRequest(b.t)) }},
		{"new-key-reason", func(b *tab, d *demo) { b.bring(d, "Server", strings.Repeat("MIIB", 16)) }},
		{"install-key", func(b *tab, d *demo) { b.bring(d, longName[:len(longName)-1]+"8", newRequest(b.t)) }},
		{"device-key", func(b *tab, d *demo) { b.open(d.https + strings.TrimSuffix(b.path(), "/install")) }},
		{"platform", at("/new/platform")},
		{"install", func(b *tab, d *demo) {
			b.open(d.https + "/new?p=android")
			b.fill(`input[name="name"]`, longName)
			b.press("main form .btn")
		}},
		{"install-ios", func(b *tab, d *demo) { b.open(d.https + b.path() + "?p=ios") }},
		{"install-windows", func(b *tab, d *demo) { b.open(d.https + b.path() + "?p=windows") }},
		{"install-macos", func(b *tab, d *demo) { b.open(d.https + b.path() + "?p=macos") }},
		{"install-linux", func(b *tab, d *demo) { b.open(d.https + b.path() + "?p=linux") }},
		{"home", at("/")},
		{"known", at("/new")},
		{"device", func(b *tab, d *demo) { b.open(d.https + "/"); b.press(`main [data-device] a.more`) }},
		{"remove", func(b *tab, d *demo) { b.open(d.https + b.path() + "/remove") }},
		{"notfound", at("/nothing-here")},
	}
}

// axeRun asks axe for everything but what it cannot decide alone.
const axeRun = `axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]})
	.then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html.slice(0, 200)).join(" | ")))`

// TestPages shows every screen in every language, light and dark, at 320 and
// 1280 pixels: axe finds nothing, nothing is wider than the window, there is one
// heading, and the console stays empty.
func TestPages(t *testing.T) {
	slow(t)
	showEverywhere(t, androidUA, func(*demo) []screen { return screens() })
}

// showEverywhere walks the screens as TestPages says. Each language has its own
// portal, so that one need not wait for another.
func showEverywhere(t *testing.T, agent string, screens func(*demo) []screen) {
	browserTool(t, "axe-core", "axe.min.js")
	for _, language := range []string{"en", "de", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel() // each has its own portal and tab
			d := startDemo(t)
			// axe is a script; the journey is what shows that the pages need none.
			openTab(t, look{agent: agent, language: language, scripts: true}).walk(d, language, screens(d))
		})
	}
}

// walk shows screens one after the other, in every width and scheme.
func (b *tab) walk(d *demo, language string, screens []screen) {
	b.t.Helper()
	for _, s := range screens {
		s.show(b, d)
		for _, width := range []int64{320, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				name := fmt.Sprintf("%s-%s-%d-%s", s.name, language, width, scheme)
				b.view(width, scheme)
				b.check(name)
				b.picture(name)
			}
		}
		b.view(390, "light")
	}
}

// loadAxe brings axe into a page that does not have it yet.
func (b *tab) loadAxe() {
	b.t.Helper()
	if eval[bool](b, `typeof axe === "object"`) {
		return
	}
	script, err := os.ReadFile(browserTool(b.t, "axe-core", "axe.min.js"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Evaluate[chromedp.Void](string(script)))
}

// check holds one state of one page against the bars.
func (b *tab) check(name string) {
	b.t.Helper()
	b.loadAxe()
	found := run(b, chromedp.Evaluate[[]string](axeRun, chromedp.EvalAwaitPromise))
	for _, violation := range found {
		b.t.Errorf("%s: axe: %s", name, violation)
	}
	if wide := eval[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
		b.t.Errorf("%s: %d pixels wider than the window", name, wide)
	}
	if n := eval[int](b, `document.querySelectorAll("h1").length`); n != 1 {
		b.t.Errorf("%s: %d first-level headings, want 1", name, n)
	}
	small := eval[[]string](b, `[...document.querySelectorAll("main a.button, main button, main .button, header a, footer a, footer button, input:not([type=hidden]), summary")]
		.filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 44 && !(e.type === "radio" || e.type === "checkbox"))
		.map(e => e.outerHTML.slice(0, 120))`)
	for _, e := range small {
		b.t.Errorf("%s: lower than 44 pixels: %s", name, e)
	}
}
