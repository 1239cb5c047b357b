package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The smallest phones show the download button without scrolling, in every language, for
// every platform and in the browser that must warn first.
func TestDownloadIsInSight(t *testing.T) {
	slow(t)
	d := startDemo(t, "CERTPORTAL_CERTIFICATES_DEVICES=20")
	const firefox = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/144.0 Mobile/15E148 Safari/605.1.15"
	for _, language := range []string{"en", "de", "zh-CN"} {
		for name, agent := range map[string]string{"Android": androidUA, "iPhone": iphoneUA, "Firefox on iPhone": firefox} {
			t.Run(language+" "+name, func(t *testing.T) {
				b := openTab(t, look{agent: agent, language: language, width: 320})
				b.signIn(d, d.person("employee"))
				b.open(d.https + "/new")
				b.fill(`input[name="name"]`, "Erika "+language+" "+name)
				b.press("main form .btn")
				b.do(chromedp.EmulateViewport(320, 640))
				b.picture("install " + language + " " + name)
				if bottom := eval[int](b, `Math.ceil(document.getElementById("download").getBoundingClientRect().bottom)`); bottom > 640 {
					t.Errorf("the button ends at %d pixels, want 640 at most", bottom)
				}
			})
		}
	}
}

// The script arrives after the page was shown: nothing may move under a thumb when it
// shows its buttons.
func TestNothingMovesWhenTheScriptRuns(t *testing.T) {
	slow(t)
	d := startDemo(t)
	for _, language := range []string{"en", "de", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			b := openTab(t, look{language: language, width: 320, scripts: true})
			b.open(d.https + "/login")
			b.wantStill("button[data-show]")
			b.enrol(d)
			b.wantStill("button[data-copy]")
		})
	}
}

// wantStill wants no part of the page to move when buttons are hidden, as they are before
// the script runs.
func (b *tab) wantStill(buttons string) {
	b.t.Helper()
	const moved = `(() => {
		const shown = [...document.querySelectorAll("SELECTOR:not([hidden])")];
		if (!shown.length) return "nothing: the script showed no button";
		const place = (e) => JSON.stringify(e.getBoundingClientRect());
		shown.forEach((e) => e.hidden = true);
		const before = new Map([...document.querySelectorAll("main *:not([hidden])")].map((e) => [e, place(e)]));
		shown.forEach((e) => e.hidden = false);
		const [other] = [...before.keys()].filter((e) => place(e) !== before.get(e));
		return other ? other.outerHTML.slice(0, 200) : "";
	})()`
	if got := eval[string](b, strings.ReplaceAll(moved, "SELECTOR", buttons)); got != "" {
		b.t.Errorf("at %s moves: %s", b.path(), got)
	}
}
