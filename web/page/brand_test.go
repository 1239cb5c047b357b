package page_test

import (
	"bytes"
	"image"
	"image/png"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"certportal/web/page"
)

func TestAccentIsReadableInBothSchemes(t *testing.T) {
	t.Parallel()
	variable := regexp.MustCompile(`--act:(#[0-9a-f]{6})`)
	for _, accent := range []string{"#0b5cad", "#ffcc00", "#000000", "#ffffff", "#e2001a", "#00ff00", "#7f7f7f"} {
		c := config()
		c.Accent = accent
		r, err := page.New(c)
		if err != nil {
			t.Fatal(err)
		}
		css, _ := r.Assets().Lookup(filepath.Base(r.Assets().Path("app.css")))
		found := variable.FindAllStringSubmatch(string(css.Data), -1)
		if len(found) != 2 {
			t.Fatalf("%s: got %d colours, want 2", accent, len(found))
		}
		for i, ground := range []string{page.LightGround, page.DarkGround} {
			got, err := page.Contrast(found[i][1], ground)
			if err != nil || got < 4.5 {
				t.Errorf("%s became %s: contrast %.2f on %s, want 4.5", accent, found[i][1], got, ground)
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*page.Config)
	}{
		{"no name", func(c *page.Config) { c.Org = "  " }},
		{"colour by name", func(c *page.Config) { c.Accent = "red" }},
		{"colour that ends the rule", func(c *page.Config) { c.Accent = "#fff}*{" }},
		{"logo that is no PNG", func(c *page.Config) { c.Logo = []byte("<svg onload=alert(1)>") }},
		{"logo that is too large", func(c *page.Config) { c.Logo = make([]byte, 21<<10) }},
		{"logo that is a line", func(c *page.Config) { c.Logo = picture(t, 900, 10) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config()
			tt.change(&c)
			if _, err := page.New(c); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLogo(t *testing.T) {
	t.Parallel()
	c := config()
	c.Logo = picture(t, 128, 64)
	r, err := page.New(c)
	if err != nil {
		t.Fatal(err)
	}
	img := elements(parse(t, render(t, r, page.Help{})), "img")
	if len(img) != 1 || attr(img[0], "width") != "64" || attr(img[0], "height") != "32" {
		t.Fatalf("logo is not there, or not 64 x 32: %v", img)
	}
	src := attr(img[0], "src")
	if a, ok := r.Assets().Lookup(strings.TrimPrefix(src, "/static/")); !ok || a.Type != "image/png" {
		t.Errorf("no picture at %q", src)
	}
}
