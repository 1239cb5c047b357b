package page

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math"
	"strconv"

	"certportal/static"
)

// maxLogo bounds the logo in bytes, so that pages stay light, and its sides in
// pixels.
const (
	maxLogo     = 20 << 10
	maxLogoSide = 2000
	logoHeight  = 32 // as shown, in CSS pixels
)

// logo is the company's picture in the header.
type logo struct {
	Path          string
	Width, Height int // as shown, in CSS pixels
}

// brand adds the company's colour and logo to the embedded files. The colour is
// appended to the style sheet: a file of its own would cost every first visit
// one more request.
func (r *Renderer) brand(c Config) (*static.Set, error) {
	var extra []static.File
	if c.Accent != "" {
		css, err := accentCSS(c.Accent)
		if err != nil {
			return nil, err
		}
		extra = append(extra, static.File{Name: "app.css", Data: css})
	}
	if len(c.Logo) > 0 {
		size, err := logoSize(c.Logo)
		if err != nil {
			return nil, err
		}
		extra = append(extra, static.File{Name: "logo.png", Data: c.Logo})
		r.site.Logo = &logo{Width: max(1, size.X*logoHeight/size.Y), Height: logoHeight}
	}
	assets, err := static.New(extra...)
	if err != nil {
		return nil, err
	}
	if r.site.Logo != nil {
		r.site.Logo.Path = assets.Path("logo.png")
	}
	return assets, nil
}

func logoSize(data []byte) (image.Point, error) {
	if len(data) > maxLogo {
		return image.Point{}, fmt.Errorf("reading logo: %d bytes, more than %d", len(data), maxLogo)
	}
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return image.Point{}, fmt.Errorf("reading logo as PNG: %w", err)
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxLogoSide || c.Height > maxLogoSide || c.Width > 6*c.Height {
		return image.Point{}, fmt.Errorf("reading logo: %d x %d pixels do not fit a header", c.Width, c.Height)
	}
	return image.Pt(c.Width, c.Height), nil
}

// colour is sRGB, 0 to 1.
type colour [3]float64

// The background colours behind coloured text, as in app.css: those with the lower
// contrast of each scheme.
const (
	lightGround = "#f4f6f9"
	darkGround  = "#1d2430"
)

// readable is the contrast that the company's colour must reach as text (WCAG
// 2.2 success criterion 1.4.3 asks for 4.5; the tint behind some links costs a
// little).
const readable = 5.2

// accentCSS makes the variables of the two schemes from one colour. A colour too
// pale for white paper is darkened, one too dark for the night is lightened, in
// small steps until it can be read: a company's yellow stays yellow-brown
// instead of unreadable.
func accentCSS(accent string) ([]byte, error) {
	base, err := parseColour(accent)
	if err != nil {
		return nil, err
	}
	light := adjust(base, colour{}, lightGround)
	dark := adjust(base, colour{1, 1, 1}, darkGround)
	return fmt.Appendf(nil, "\n:root{--act:%s;--act2:%s;--on-act:#fff}\n"+
		"@media (prefers-color-scheme:dark){:root{--act:%s;--act2:%s;--on-act:#0b1018}}\n",
		light, mix(light, colour{}, .2), dark, mix(dark, colour{1, 1, 1}, .25)), nil
}

// parseColour reads "#rrggbb".
func parseColour(s string) (colour, error) {
	if len(s) != 7 || s[0] != '#' {
		return colour{}, fmt.Errorf("reading colour %q: not of the form #rrggbb", s)
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return colour{}, fmt.Errorf("reading colour %q: %w", s, err)
	}
	return colour{float64(n>>16) / 255, float64(n>>8&255) / 255, float64(n&255) / 255}, nil
}

// String is the colour as CSS writes it.
func (c colour) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0]*255)), int(math.Round(c[1]*255)), int(math.Round(c[2]*255)))
}

// adjust moves the colour towards another until it is readable on the ground.
func adjust(c, towards colour, ground string) colour {
	on, err := parseColour(ground)
	if err != nil {
		return towards
	}
	for range 50 {
		if contrast(c, on) >= readable {
			return c
		}
		c = mix(c, towards, .05)
	}
	return towards
}

func mix(a, b colour, share float64) colour {
	for i := range a {
		a[i] += (b[i] - a[i]) * share
	}
	return a
}

// contrast is the ratio of WCAG 2.2, 1 to 21.
func contrast(a, b colour) float64 {
	high, low := luminance(a), luminance(b)
	if high < low {
		high, low = low, high
	}
	return (high + .05) / (low + .05)
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(c colour) float64 {
	var linear colour
	for i, v := range c {
		if v <= 0.04045 {
			linear[i] = v / 12.92
			continue
		}
		linear[i] = math.Pow((v+0.055)/1.055, 2.4)
	}
	return .2126*linear[0] + .7152*linear[1] + .0722*linear[2]
}
