package static_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"math"
	"path"
	"regexp"
	"strings"
	"testing"

	"certportal/static"
)

func asset(t *testing.T, name string, extra ...static.File) static.Asset {
	t.Helper()
	s, err := static.New(extra...)
	if err != nil {
		t.Fatal(err)
	}
	a, ok := s.Lookup(path.Base(s.Path(name)))
	if !ok {
		t.Fatalf("no asset at %q", s.Path(name))
	}
	return a
}

func TestAddresses(t *testing.T) {
	tests := []struct{ name, pattern, mediaType string }{
		{"app.css", `^/static/app\.[0-9a-f]{12}\.css$`, "text/css; charset=utf-8"},
		{"app.js", `^/static/app\.[0-9a-f]{12}\.js$`, "text/javascript; charset=utf-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := asset(t, tt.name)
			if !regexp.MustCompile(tt.pattern).MatchString(a.Path) || a.Type != tt.mediaType {
				t.Errorf("got %q of type %q, want %s of type %q", a.Path, a.Type, tt.pattern, tt.mediaType)
			}
		})
	}
	s, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "app.css", "../static.go", "app.000000000000.css"} {
		if _, ok := s.Lookup(name); ok {
			t.Errorf("looking up %q: got a file", name)
		}
	}
}

func TestCompressedIsTheSame(t *testing.T) {
	a := asset(t, "app.css")
	r, err := gzip.NewReader(bytes.NewReader(a.Gzip))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(plain, a.Data) {
		t.Errorf("uncompressed: %d bytes, want the %d of the file (%v)", len(plain), len(a.Data), err)
	}
}

func TestAppendedFileGetsAnotherAddress(t *testing.T) {
	plain, branded := asset(t, "app.css"), asset(t, "app.css", static.File{Name: "app.css", Data: []byte(":root{--act:#123456}")})
	if plain.Path == branded.Path {
		t.Error("another content has the same address")
	}
	if !bytes.HasPrefix(branded.Data, plain.Data) || !bytes.HasSuffix(branded.Data, []byte("#123456}")) {
		t.Error("the file was not appended")
	}
	if _, err := static.New(static.File{Name: "evil.html"}); err == nil {
		t.Error("adding a page: got no error")
	}
}

func TestWeight(t *testing.T) {
	if got := len(asset(t, "app.css").Gzip); got > 5<<10 {
		t.Errorf("style sheet: %d bytes compressed, want at most 5 KB", got)
	}
	if got := len(asset(t, "app.js").Data); got > 3<<10 {
		t.Errorf("script: %d bytes, want at most 3 KB", got)
	}
}

// Pages mirror themselves for languages written from right to left, as long as
// no rule names a side.
func TestStyleNamesNoSide(t *testing.T) {
	css := string(asset(t, "app.css").Data)
	css = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(css, "")
	if m := regexp.MustCompile(`(?i)[^-\w](left|right)\b|\b(margin|padding|border)-(left|right|top|bottom)|\bfloat\b`).FindString(css); m != "" {
		t.Errorf("style sheet names a side: %q", m)
	}
	for _, foreign := range []string{"@import", "url(", "http:", "https:"} {
		if strings.Contains(css, foreign) {
			t.Errorf("style sheet loads something: %s", foreign)
		}
	}
	for _, needed := range []string{"prefers-color-scheme: dark", "forced-colors: active", "prefers-reduced-motion", "@media print", ":lang(zh)"} {
		if !strings.Contains(css, needed) {
			t.Errorf("style sheet has no rule for %s", needed)
		}
	}
}

// Scripts keep nothing in the browser, make no elements or code of text, and talk to no other
// window.
func TestScriptsKeepNothingAndRunNothing(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)innerHTML|outerHTML|insertAdjacent|document\.write|srcdoc|\beval\b|new Function|javascript:|` +
		`localStorage|sessionStorage|indexedDB|\bcaches\b|document\.cookie|postMessage|onmessage|__proto__|\.prototype\b|set(Timeout|Interval)\(\s*['"\x60]`)
	for _, name := range []string{"app.js", "staff.js"} {
		if found := forbidden.FindString(string(asset(t, name).Data)); found != "" {
			t.Errorf("%s: %s", name, found)
		}
	}
}

// Text needs a contrast of 4.5, the edge of a field 3 (WCAG 2.2 success criteria
// 1.4.3 and 1.4.11), on every background.
func TestContrast(t *testing.T) {
	tests := []struct {
		text    string
		grounds []string
		want    float64
	}{
		{"fg", []string{"bg", "sheet", "tint", "ok-bg", "warn-bg", "bad-bg"}, 7},
		{"soft", []string{"bg", "sheet"}, 4.5},
		{"act", []string{"bg", "sheet", "tint"}, 4.5},
		{"act2", []string{"bg", "sheet", "tint"}, 4.5},
		{"on-act", []string{"act", "act2"}, 4.5},
		{"on-bad", []string{"bad"}, 4.5},
		{"ok", []string{"ok-bg"}, 4.5}, {"warn", []string{"warn-bg"}, 4.5},
		{"bad", []string{"bad-bg", "sheet"}, 4.5},
		{"sheet", []string{"ok"}, 3}, {"edge", []string{"bg", "sheet", "warn-bg"}, 3},
	}
	light, dark := schemes(t)
	for name, scheme := range map[string]map[string]string{"light": light, "dark": dark} {
		for _, tt := range tests {
			for _, ground := range tt.grounds {
				if got := contrast(t, scheme[tt.text], scheme[ground]); got < tt.want {
					t.Errorf("%s: --%s on --%s: contrast %.2f, want %.1f", name, tt.text, ground, got, tt.want)
				}
			}
		}
	}
}

// schemes reads the colours of the two schemes out of the style sheet.
func schemes(t *testing.T) (light, dark map[string]string) {
	css := string(asset(t, "app.css").Data)
	variable := regexp.MustCompile(`--([\w-]+): (#[0-9a-f]{3,6});`)
	first, rest, found := strings.Cut(css, "prefers-color-scheme: dark")
	if !found {
		t.Fatal("style sheet has no dark scheme")
	}
	rest, _, _ = strings.Cut(rest, "\n}\n")
	light, dark = map[string]string{}, map[string]string{}
	for _, m := range variable.FindAllStringSubmatch(first, -1) {
		light[m[1]], dark[m[1]] = m[2], m[2]
	}
	for _, m := range variable.FindAllStringSubmatch(rest, -1) {
		dark[m[1]] = m[2]
	}
	return light, dark
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	high, low := luminance(t, a), luminance(t, b)
	return (max(high, low) + .05) / (min(high, low) + .05)
}

func luminance(t *testing.T, c string) float64 {
	t.Helper()
	c = strings.TrimPrefix(c, "#")
	if len(c) == 3 {
		c = string([]byte{c[0], c[0], c[1], c[1], c[2], c[2]})
	}
	rgb, err := hex.DecodeString(c)
	if err != nil || len(rgb) != 3 {
		t.Fatalf("colour %q", c)
	}
	var sum float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		v := float64(rgb[i]) / 255
		if v <= 0.04045 {
			sum += weight * v / 12.92
			continue
		}
		sum += weight * math.Pow((v+0.055)/1.055, 2.4)
	}
	return sum
}
