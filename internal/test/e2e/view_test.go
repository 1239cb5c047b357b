package e2e

import (
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// view changes width and scheme of the window without loading the page anew.
func (b *tab) view(width int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 844))
	b.call(func() (any, error) {
		return chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme},
				// A colour on its way to another is neither of the two.
				{Name: "prefers-reduced-motion", Value: "reduce"},
			},
		})
	})
}
