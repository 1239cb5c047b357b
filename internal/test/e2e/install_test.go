package e2e

import (
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
