package page

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quietZone is the width of the white border that readers need, in modules
// (ISO/IEC 18004 section 5.3.8).
const quietZone = 4

// QR is a QR code as the pages draw it: dark modules on a white plate that holds
// the quiet zone, in an SVG of Size by Size units.
type QR struct {
	Size int
	Path string // the dark modules, as the d of a path
}

// NewQR makes the code of a text, with error correction level M. It refuses a text
// that is too long for any code.
func NewQR(text string) (QR, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return QR{}, fmt.Errorf("making QR code of %d bytes: %w", len(text), err)
	}
	width := code.Bounds().Dx()
	dark := func(x, y int) bool {
		return x < width && color.GrayModel.Convert(code.At(x, y)).(color.Gray).Y == 0
	}
	// One rectangle for each run of modules keeps the page small.
	var path strings.Builder
	for y := range width {
		for x := 0; x < width; x++ {
			start := x
			for dark(x, y) {
				x++
			}
			if run := x - start; run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quietZone, y+quietZone, run, run)
			}
		}
	}
	return QR{Size: width + 2*quietZone, Path: path.String()}, nil
}
