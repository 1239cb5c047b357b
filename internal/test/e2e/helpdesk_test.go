package e2e

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"certportal/ca"
)

// giveCode plays the helpdesk from the search to the code, and says how many pages
// that took.
func (b *tab) giveCode(d *demo, name string) (code string, loads int) {
	b.t.Helper()
	b.open(d.https + "/helpdesk?q=" + url.QueryEscape(name)) // a single hit opens
	b.press(`main a[href$="/code"]`)
	b.do(chromedp.Click("#checked-in-person"), chromedp.Click("#purpose-new"))
	b.press("main form .btn")
	return b.text("#pickup-code"), 3
}

// TestHelpdesk plays helpdesk, employee and administrator, without JavaScript: the
// first gives a code and sees nothing else, the second brings it to the new phone,
// the third revokes the old one.
func TestHelpdesk(t *testing.T) {
	need(t, "chromium", "openssl")
	d := startDemo(t)
	old, _, oldPassword := openTab(t, look{agent: androidUA}).enrol(d)
	oldLeaf, oldSerial := keep(t, old, oldPassword)
	desk := openTab(t, look{agent: windowsUA, width: 1280})
	desk.signIn(d, d.person("helpdesk"))
	if got, want := desk.path(), "/helpdesk"; got != want {
		t.Fatalf("the staff pages begin at %s, want %s", got, want)
	}
	code, _ := desk.giveCode(d, "Anna")

	phone := openTab(t, look{agent: androidUA})
	phone.open(d.https + "/login")
	phone.press(`a[href="/login?next=%2Fpickup"]`)
	employee := d.person("employee")
	phone.fill(`input[name="username"]`, employee.Username)
	phone.fill(`input[name="password"]`, employee.Password)
	phone.press("main form .btn")
	if got, want := phone.path(), "/pickup"; got != want {
		t.Fatalf("after signing in at %s, want %s:\n%s", got, want, phone.text("main"))
	}
	phone.fill("#code", strings.ToLower(strings.ReplaceAll(code, "-", " ")))
	phone.press("main form .btn")
	if got, want := phone.path(), "/new"; got != want {
		t.Fatalf("after the code at %s, want %s:\n%s", got, want, phone.text("main"))
	}
	phone.press("main form .btn")
	password := strings.Join(strings.Fields(phone.text("#install-password")), "")
	file, _ := phone.download("#download")
	checkFile(t, d, file, password)
	newLeaf, _ := keep(t, file, password)

	phone.open(d.https + "/pickup/" + strings.ReplaceAll(code, "-", ""))
	if got, want := phone.text("h1"), "This code was already used"; got != want {
		t.Errorf("the used code says %q, want %q", got, want)
	}
	desk.open(d.https + "/helpdesk?q=Anna")
	for _, want := range []string{"Pickup code used", "Certificate issued", "Anna Schmidt"} {
		if !strings.Contains(desk.text("main"), want) {
			t.Errorf("the helpdesk does not see %q:\n%s", want, desk.text("main"))
		}
	}
	for _, never := range []string{password, code} {
		if strings.Contains(desk.text("html"), never) {
			t.Errorf("the helpdesk sees %s", never)
		}
	}
	d.revokeAsAdmin(t, oldSerial)
	if out, err := d.verify(t, oldLeaf); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("the old phone's certificate: %v\n%s", err, out)
	}
	if out, err := d.verify(t, newLeaf); err != nil {
		t.Errorf("the new phone's certificate: %v\n%s", err, out)
	}
}

// revokeAsAdmin finds a certificate by its serial number and revokes it, and waits
// for the list.
func (d *demo) revokeAsAdmin(t *testing.T, serial ca.Serial) {
	t.Helper()
	b := openTab(t, look{agent: windowsUA, width: 1280})
	b.signIn(d, d.person("admin"))
	b.open(d.https + "/admin/certificates/" + serial.String())
	b.press(`main a[href$="/revoke"]`)
	b.do(chromedp.SetValue("#cause", "lost"))
	b.fill("#comment", "stolen on the train")
	b.press("main form .btn")
	d.awaitRevoked(t, serial)
}

// paper prints what the window shows, and gives the file and what pdfinfo says.
func (b *tab) paper() (file, info string) {
	b.t.Helper()
	b.call(func() (any, error) {
		return chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	})
	defer b.view(1280, "light")
	printed, err := chromedp.Call(b.ctx, page.PrintToPDF, page.PrintToPDFParams{PaperWidth: 8.27, PaperHeight: 11.69}) // inches
	if err != nil {
		b.t.Fatal(err)
	}
	file = filepath.Join(b.t.TempDir(), "slip.pdf")
	if err := os.WriteFile(file, printed.Data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	out, err := exec.CommandContext(b.t.Context(), "pdfinfo", file).Output()
	if err != nil {
		b.t.Fatalf("looking at the slip: %v", err)
	}
	return file, string(out)
}

// TestSlip prints the slip as the helpdesk would: one page of A4 in every language,
// with a code of forty millimetres that a camera reads.
func TestSlip(t *testing.T) {
	need(t, "chromium", "pdfinfo", "pdftoppm", "pdftotext", "zbarimg")
	for _, language := range []string{"en", "de", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			d := startDemo(t)
			b := openTab(t, look{agent: windowsUA, width: 1280, language: language})
			b.signIn(d, d.person("helpdesk"))
			code, _ := b.giveCode(d, "Anna")
			b.press(`main a[href$="/slip"]`)
			checkSlip(t, d, b, code)
		})
	}
}

func checkSlip(t *testing.T, d *demo, b *tab, code string) {
	t.Helper()
	b.picture("slip-screen-" + strings.ReplaceAll(t.Name(), "/", "-"))
	file, info := b.paper()
	if !regexp.MustCompile(`(?m)^Pages:\s+1$`).MatchString(info) || !strings.Contains(info, "A4") {
		t.Errorf("the slip is not one page of A4:\n%s", info)
	}
	picture := strings.TrimSuffix(file, ".pdf")
	if err := exec.CommandContext(t.Context(), "pdftoppm", "-r", "100", "-png", "-singlefile", file, picture).Run(); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("E2E_PICTURES"); dir != "" {
		if data, err := os.ReadFile(picture + ".png"); err == nil {
			_ = os.WriteFile(filepath.Join(dir, "slip-paper-"+strings.ReplaceAll(t.Name(), "/", "-")+".png"), data, 0o644)
		}
	}
	read, err := exec.CommandContext(t.Context(), "zbarimg", "--quiet", "--raw", picture+".png").Output()
	if err != nil {
		t.Fatalf("reading the QR code off the paper: %v", err)
	}
	if got, want := strings.TrimSpace(string(read)), d.https+"/pickup/"+strings.ReplaceAll(code, "-", ""); got != want {
		t.Errorf("the QR code reads %q, want %q", got, want)
	}
	text, err := exec.CommandContext(t.Context(), "pdftotext", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{code, "Anna Schmidt", "+49 30 5550 100", "HW"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the paper does not say %q:\n%s", want, text)
		}
	}
	for _, never := range []string{"Hugo", "Sign out"} {
		if strings.Contains(string(text), never) {
			t.Errorf("the paper says %q", never)
		}
	}
	b.call(func() (any, error) {
		return chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	})
	// A CSS inch is 96 pixels and 25.4 millimetres.
	if got := eval[float64](b, `document.getElementById("pickup-qr").getBoundingClientRect().width`) / 96 * 25.4; got < 39.5 || got > 40.5 {
		t.Errorf("the QR code is %.1f mm wide, want 40", got)
	}
}

// helpdeskScreens lists what helpdesk and employee see of a code, in an order that
// one window can walk, with a second visitor for the employee.
func helpdeskScreens(employee *http.Client) []screen {
	var person, code string
	return []screen{
		{"find", func(b *tab, d *demo) { b.signIn(d, d.person("helpdesk")); b.open(d.https + "/helpdesk") }},
		{"find-none", at("/helpdesk?q=zz")},
		{"find-some", func(b *tab, d *demo) {
			d.signIn(employee, d.person("employee"))
			d.enrolBy(employee, "Dienst-Smartphone Außenstelle Süd-West 7")
			if _, err := d.post(b.t.Context(), employee, "/pickup", url.Values{"code": {"222222222222"}}); err != nil {
				b.t.Fatal(err)
			}
			b.open(d.https + "/helpdesk?q=a")
			b.open(d.https + "/helpdesk?q=demo.example")
		}},
		{"dossier", func(b *tab, d *demo) { b.open(d.https + "/helpdesk?q=Dienst"); person = b.path() }},
		{"givecode", func(b *tab, _ *demo) { b.press(`main a[href$="/code"]`) }},
		{"givecode-error", func(b *tab, _ *demo) { b.press("main form .btn") }},
		{"block", func(b *tab, d *demo) { b.open(d.https + person); b.press(`main a[href$="/block"]`) }},
		{"block-error", func(b *tab, _ *demo) { b.press("main form .btn") }},
		{"codegiven", func(b *tab, d *demo) { code, _ = b.giveCode(d, "Anna") }},
		{"slip", func(b *tab, _ *demo) { b.press(`main a[href$="/slip"]`) }},
		{"codegiven-hidden", func(b *tab, d *demo) {
			slip := b.path()
			b.open(d.https + "/helpdesk")
			b.open(d.https + strings.TrimSuffix(slip, "/slip"))
		}},
		{"approvals", at("/helpdesk/approvals")},
		{"denied", at("/helpdesk?q=hugo")},
		{"pickup", func(b *tab, d *demo) {
			b.press("footer .who button")
			b.signIn(d, d.person("employee"))
			b.open(d.https + "/pickup")
		}},
		{"pickup-error", func(b *tab, _ *demo) { b.press("main form .btn") }},
		{"pickup-wrong", func(b *tab, _ *demo) { b.fill(`input[name="code"]`, "2222 2222 2222"); b.press("main form .btn") }},
		{"pickup-fixed", func(b *tab, d *demo) { b.open(d.https + "/pickup/" + strings.ReplaceAll(code, "-", "")) }},
		{"pickup-used", func(b *tab, d *demo) {
			b.press("main form .btn")
			b.press("main form .btn")
			b.open(d.https + "/pickup/" + strings.ReplaceAll(code, "-", ""))
		}},
	}
}

// TestPagesOfTheHelpdesk holds the pages around a pickup code against the same bars
// as TestPages.
func TestPagesOfTheHelpdesk(t *testing.T) {
	slow(t)
	showEverywhere(t, windowsUA, func(d *demo) []screen { return helpdeskScreens(d.visitor()) })
}
