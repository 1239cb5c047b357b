package page_test

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/web/page"
)

// handoffs are the pages between a desktop and a phone.
func handoffs(f, out page.Layout) []sample {
	code, err := page.NewQR("https://certs.example.com/go/7F3K9QXM")
	if err != nil {
		panic(err)
	}
	open := page.Handoff{Layout: f, State: page.HandoffOpen, Number: "47", Code: "7F3K-9QXM", QR: code,
		Address: "certificates.of.a.company.example.com:8443/go", Expires: noon().Add(10 * time.Minute)}
	phone := out
	phone.InApp = "WeChat"
	return []sample{
		{"handoff", page.Handoff{Layout: f}},
		{"handoff-open", open},
		{"handoff-redeemed", page.Handoff{Layout: f, State: page.HandoffRedeemed}},
		{"handoff-has", page.Handoff{Layout: f, State: page.HandoffRedeemed, Device: "Donaudampfschifffahrtsgesellschaftskapit"}},
		{"handoff-burnt", page.Handoff{Layout: f, State: page.HandoffBurnt}},
		{"handoff-over", page.Handoff{Layout: f, State: "expired"}},
		{"go", page.Go{Layout: out}},
		{"go-wrong", page.Go{Layout: out, Code: "7F3K-9QX", Errors: []page.FieldError{{Field: "code", Key: page.ErrCode}}}},
		{"goconfirm", page.GoConfirm{Layout: phone, Code: "7F3K9QXM", Masked: "L** W**"}},
		{"goconfirm-wrong", page.GoConfirm{Layout: out, Code: "7F3K9QXM", Masked: "L** W**", Number: "7",
			Errors: []page.FieldError{{Field: "number", Key: page.ErrNumber}}}},
		{"goover", page.GoOver{Layout: out}},
		{"goover-wrong", page.GoOver{Layout: out, Wrong: true}},
		{"golimited", page.GoLimited{Layout: f}},
		{"golimited-device", page.GoLimited{Layout: f, DeviceID: "d1"}},
		{"paused-codes", page.Paused{Layout: out, Until: noon().Add(15 * time.Minute), Codes: true}},
		{"login-again", page.Login{Layout: f, Next: "/handoff", Again: true}},
	}
}

// draw paints the path of a code at four pixels a module.
func draw(t *testing.T, code page.QR) image.Image {
	t.Helper()
	const scale = 4
	picture := image.NewGray(image.Rect(0, 0, code.Size*scale, code.Size*scale))
	for i := range picture.Pix {
		picture.Pix[i] = 0xff
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(code.Path, "z"), "z") {
		var x, y, run, back int
		if _, err := fmt.Sscanf(part, "M%d %dh%dv1h-%d", &x, &y, &run, &back); err != nil || run != back {
			t.Fatalf("path holds %q: %v", part, err)
		}
		if x < 4 || y < 4 || x+run > code.Size-4 || y >= code.Size-4 {
			t.Fatalf("%q reaches into the quiet zone", part)
		}
		for px := x * scale; px < (x+run)*scale; px++ {
			for py := y * scale; py < (y+1)*scale; py++ {
				picture.SetGray(px, py, color.Gray{})
			}
		}
	}
	return picture
}

// TestQR has a reader of other people's making read the codes.
func TestQR(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("zbarimg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("zbarimg is not installed: ", err)
	}
	for _, text := range []string{
		"https://a.de/go/7F3K9QXM", "https://certs.example.com/go/22222222", "https://127.0.0.1:34567/go/ZZZZZZZZ",
		"https://" + strings.Repeat("very-long-label.", 15) + "example.com:8443/go/7F3K9QXM",
	} {
		code, err := page.NewQR(text)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "qr.png")
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(file, draw(t, code)); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		read, err := exec.CommandContext(t.Context(), "zbarimg", "--quiet", "--raw", name).Output()
		if got := strings.TrimSpace(string(read)); err != nil || got != text {
			t.Errorf("read %q (%v), want %q", got, err, text)
		}
	}
	if _, err := page.NewQR(strings.Repeat("x", 4000)); err == nil {
		t.Error("4000 bytes fit a code")
	}
}

// TestHandoffShowsNumberOnDesktopOnly holds the page that a link preview or a
// victim sees apart from the one with the answer.
func TestHandoffShowsNumberOnDesktopOnly(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, s := range handoffs(layout(page.English), page.Layout{Lang: page.English}) {
		root := parse(t, render(t, r, s.page))
		if shown := byID(root, "handoff-number") != nil; shown != (s.name == "handoff-open") {
			t.Errorf("%s: the number is shown: %v", s.name, shown)
		}
	}
}

func BenchmarkQR(b *testing.B) {
	for b.Loop() {
		if _, err := page.NewQR("https://certs.example.com/go/7F3K9QXM"); err != nil {
			b.Fatal(err)
		}
	}
}
