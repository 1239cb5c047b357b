package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A reader elsewhere sees their own time, in the words of the page's language; one
// without script sees the company's, with its zone.
func TestTimesOfTheReader(t *testing.T) {
	slow(t)
	d := startDemo(t, "CERTPORTAL_PAGES_TIME_ZONE=Europe/Berlin", "CERTPORTAL_CERTIFICATES_DEVICES=20")
	tests := []struct {
		name, zone, language string
		scripts              bool
		show                 string // zone of what is seen
		words                string
	}{
		{"Tokyo", "Asia/Tokyo", "en", true, "Asia/Tokyo", "GMT+9"},
		{"Tokyo in German", "Asia/Tokyo", "de", true, "Asia/Tokyo", "GMT+9"},
		{"Tokyo in Chinese", "Asia/Tokyo", "zh-CN", true, "Asia/Tokyo", "GMT+9"},
		{"Tokyo without script", "Asia/Tokyo", "en", false, "Europe/Berlin", "CE"},
		{"the company's own zone", "Europe/Vienna", "en", true, "Europe/Berlin", "CE"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := openTab(t, look{language: tt.language, scripts: tt.scripts})
			b.call(func() (any, error) {
				return chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: tt.zone})
			})
			b.signIn(d, d.person("employee"))
			b.open(d.https + "/new")
			b.fill(`input[name="name"]`, "Phone "+string(rune('A'+i)))
			b.press("main form .btn")
			const deadline = `time[data-at="clock"]`
			at, err := time.Parse(time.RFC3339, b.attribute(deadline, "datetime"))
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(tt.show)
			if err != nil {
				t.Fatal(err)
			}
			if got := b.text(deadline); !strings.Contains(got, at.In(zone).Format("15:04")) || !strings.Contains(got, tt.words) {
				t.Errorf("the page says %q of %s, want the time in %s", got, at, tt.show)
			}
		})
	}
}
