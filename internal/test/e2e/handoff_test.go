package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// readQR has zbarimg read the code from a picture of the whole page.
func (b *tab) readQR() string {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "page.png")
	if err := os.WriteFile(file, run(b, chromedp.FullScreenshot(100)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	// Beside the text it complains of a message bus that is not there.
	text, err := exec.CommandContext(b.t.Context(), "zbarimg", "--quiet", "--raw", file).Output()
	if err != nil {
		b.t.Fatalf("reading the QR code: %v", err)
	}
	return strings.TrimSpace(string(text))
}

// offerHandoff goes from the home page of a desktop to the code.
func (b *tab) offerHandoff() {
	b.t.Helper()
	b.press(`form[action="/handoff"] button`)
	if got, want := b.path(), "/handoff"; got != want {
		b.t.Fatalf("after asking for a code at %s, want %s:\n%s", got, want, b.text("main"))
	}
}

// awaitHeading waits until the page has moved on by itself.
func (b *tab) awaitHeading(want string) { b.t.Helper(); b.awaitText("h1", want) }

// TestHandoff plays desktop and phone together, without JavaScript and without a
// password on the phone.
func TestHandoff(t *testing.T) {
	need(t, "chromium", "openssl", "zbarimg")
	d := startDemo(t)
	desktop := openTab(t, look{agent: windowsUA, width: 1280})
	desktop.signIn(d, d.person("employee"))
	desktop.offerHandoff()
	number := desktop.text("#handoff-number")
	want := d.https + "/go/" + strings.ReplaceAll(desktop.text("#handoff-code"), "-", "")
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{320, 1280} {
			desktop.view(width, scheme)
			if got := desktop.readQR(); got != want {
				t.Errorf("%s at %d pixels: the QR code reads %q, want %q", scheme, width, got, want)
			}
			if got := eval[float64](desktop, `document.getElementById("handoff-qr").getBoundingClientRect().width`); got < 232 {
				t.Errorf("%s at %d pixels: the QR code is %.0f pixels wide, want 232", scheme, width, got)
			}
		}
	}

	phone := openTab(t, look{agent: androidUA})
	phone.open(want)
	phone.typeNumber("7")
	if got, want := phone.attribute("input#number", "aria-invalid"), "true"; got != want {
		t.Errorf("one digit: aria-invalid is %q, want %q:\n%s", got, want, phone.text("main"))
	}
	phone.typeNumber(number)
	if got, want := phone.path(), "/new"; got != want {
		t.Fatalf("after the number at %s, want %s:\n%s", got, want, phone.text("main"))
	}
	desktop.awaitHeading("Your phone is connected")
	name := phone.attribute(`input[name="name"]`, "value")
	phone.press("main form .btn")
	password := strings.Join(strings.Fields(phone.text("#install-password")), "")
	file, _ := phone.download("#download")
	checkFile(t, d, file, password)

	desktop.awaitHeading(name + " has its certificate")
	desktop.open(d.https + "/")
	if got := desktop.attribute("[data-device]", "data-device"); got == "" {
		t.Error("the phone is not among the devices on the desktop")
	}
	phone.open(d.https + "/")
	if got, want := phone.text("h1"), "This phone gets one certificate only"; got != want {
		t.Errorf("the phone's home page says %q, want %q", got, want)
	}
}

// typeNumber types the number of the desktop on the phone's page.
func (b *tab) typeNumber(number string) {
	b.t.Helper()
	b.fill("input#number", number)
	b.press("main form .btn")
}

// wrongNumber is a number that the desktop does not show.
func wrongNumber(shown string) string {
	if shown == "07" {
		return "08"
	}
	return "07"
}

// TestHandoffByHand types the code, and a wrong number.
func TestHandoffByHand(t *testing.T) {
	need(t, "chromium")
	d := startDemo(t)
	desktop := openTab(t, look{agent: windowsUA, width: 1280, scripts: true})
	desktop.signIn(d, d.person("employee"))
	desktop.offerHandoff()
	phone := openTab(t, look{agent: androidUA, scripts: true})
	phone.open(d.https + "/go")
	phone.fill("#code", strings.ToLower(desktop.text("#handoff-code")))
	phone.press("main form .btn")
	phone.typeNumber(wrongNumber(desktop.text("#handoff-number")))
	if got, want := phone.text("h1"), "That was not the number"; got != want {
		t.Errorf("the phone says %q, want %q", got, want)
	}
	desktop.awaitHeading("A wrong number was typed")
}

// handoffScreens lists what desktop and phone show of each other, in an order that
// one desktop can walk with a second visitor for the phone.
func handoffScreens(phone func() *http.Client) []screen {
	var code, number string
	enter := func(d *demo, b *tab, number string) {
		form := map[string][]string{"number": {number}}
		if _, err := d.post(b.t.Context(), phone(), "/go/"+code, form); err != nil {
			b.t.Fatal(err)
		}
	}
	offer := func(b *tab, d *demo) {
		b.open(d.https + "/handoff")
		b.press(`form[action="/handoff"] button`)
		code, number = strings.ReplaceAll(b.text("#handoff-code"), "-", ""), b.text("#handoff-number")
	}
	at := func(path string) func(*tab, *demo) { return func(b *tab, d *demo) { b.open(d.https + path) } }
	return []screen{
		{"home-desktop", func(b *tab, d *demo) { b.signIn(d, d.person("employee")) }},
		{"handoff", at("/handoff")},
		{"handoff-open", offer},
		{"go", at("/go")},
		{"go-error", func(b *tab, d *demo) { b.open(d.https + "/go"); b.press("main form .btn") }},
		{"go-confirm", func(b *tab, d *demo) { b.open(d.https + "/go/" + code) }},
		{"go-confirm-error", func(b *tab, d *demo) { b.open(d.https + "/go/" + code); b.typeNumber("7") }},
		{"handoff-burnt", func(b *tab, d *demo) { enter(d, b, wrongNumber(number)); b.open(d.https + "/handoff") }},
		{"go-over", func(b *tab, d *demo) { b.open(d.https + "/go/" + code) }},
		{"handoff-done", func(b *tab, d *demo) { offer(b, d); enter(d, b, number); b.open(d.https + "/handoff") }},
		{"go-wrong", func(b *tab, d *demo) {
			offer(b, d)
			b.open(d.https + "/go/" + code)
			b.typeNumber(wrongNumber(number))
		}},
		{"go-limited", func(b *tab, d *demo) {
			offer(b, d)
			b.open(d.https + "/go/" + code)
			b.typeNumber(number)
			b.open(d.https + "/")
		}},
	}
}

// TestPagesOfAHandoff holds the pages between desktop and phone against the same
// bars as TestPages.
func TestPagesOfAHandoff(t *testing.T) {
	slow(t)
	showEverywhere(t, windowsUA, func(d *demo) []screen { return handoffScreens(d.visitor) })
}
