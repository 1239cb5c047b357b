package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// adminScreens lists the administrator's pages in an order one visitor can walk: an
// employee gets a certificate first, so that there is something to look after.
func adminScreens() []screen {
	return []screen{
		{"admin-overview", func(b *tab, d *demo) {
			b.signIn(d, d.person("employee"))
			b.open(d.https + "/new")
			b.fill(`input[name="name"]`, "Dienst-Smartphone Außenstelle Süd-West 7")
			b.press("main form .btn")
			b.press(`footer form button`)
			b.signIn(d, d.person("admin"))
			b.open(d.https + "/admin")
		}},
		{"admin-certificates", at("/admin/certificates?status=working&person=anna")},
		{"admin-certificates-error", at("/admin/certificates?serial=xyz&days=x&status=expiring")},
		{"admin-certificates-none", at("/admin/certificates?person=nobody-of-that-name&status=revoked")},
		{"admin-certificate", func(b *tab, d *demo) {
			b.open(d.https + "/admin/certificates?person=anna")
			b.press(`main tr[data-serial] td:last-child a`)
		}},
		{"admin-revoke", func(b *tab, d *demo) { b.press(`main a[href$="/revoke"]`) }},
		{"admin-devices", at("/admin/devices")},
		{"admin-device", func(b *tab, _ *demo) { b.press(`main tr[data-device] a`) }},
		{"admin-order-new", at("/admin/orders/new?person=anna")},
		{"admin-orders", at("/admin/orders")},
		{"admin-halt", at("/admin/halt")},
		{"admin-people", at("/admin/people")},
		{"admin-device-revoked", func(b *tab, d *demo) {
			b.open(d.https + "/admin/devices")
			b.press(`main tr[data-device] a`)
			b.press(`main a[href$="/revoke"]`)
			b.do(chromedp.SetValue("#cause", "lost"))
			b.fill("#comment", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft")
			b.press("main form .btn")
		}},
		{"admin-certificate-revoked", func(b *tab, _ *demo) { b.press(`main .box dd a[href^="/admin/certificates/"]`) }},
		{"admin-authority", at("/admin/ca")},
		{"admin-authority-checked", func(b *tab, _ *demo) { b.press(`main form[action$="/addresses"] button`) }},
		{"admin-authority-tried", func(b *tab, _ *demo) { b.press(`main form[action$="/trial"] button`) }},
		{"admin-authority-published", func(b *tab, _ *demo) { b.press(`main [data-issuer="issuing"] form button`) }},
		{"admin-exchange", at("/admin/exchange")},
		{"admin-mail", at("/admin/mail")},
		{"admin-checks", at("/admin/checks")},
		{"admin-checks-run", func(b *tab, _ *demo) { b.press("main > form .btn") }},
		{"admin-export", at("/admin/export")},
	}
}

// TestAdminPages shows the administrator's pages as TestPages does.
func TestAdminPages(t *testing.T) {
	slow(t)
	showEverywhere(t, androidUA, func(*demo) []screen { return adminScreens() })
}

// TestAdministrator plays an administrator who blocks a lost phone, orders the end of
// the rest, and stops issuing, without JavaScript.
func TestAdministrator(t *testing.T) {
	need(t, "chromium")
	d := startDemo(t)
	phone := openTab(t, look{agent: androidUA})
	phone.signIn(d, d.person("employee"))
	for i := range 2 {
		phone.open(d.https + "/new?p=android")
		phone.fill(`input[name="name"]`, fmt.Sprint("Phone ", i+1))
		phone.press("main form .btn")
	}

	b := openTab(t, look{agent: windowsUA, width: 1280})
	b.signIn(d, d.person("admin"))
	b.open(d.https + "/admin/devices?device=phone+1")
	b.press(`main tr[data-device] a`)
	b.press(`main a[href$="/revoke"]`)
	b.do(chromedp.SetValue("#cause", "lost"))
	b.fill("#comment", "left in a taxi")
	b.press("main form .btn")
	if text := b.text("main"); !strings.Contains(text, "Blocked") {
		t.Fatalf("after blocking a device:\n%s", text)
	}

	// Blocking a lost phone signs its owner out, on all devices.
	phone.signIn(d, d.person("employee"))

	b.open(d.https + "/admin/certificates?status=working")
	b.press(`main a[href^="/admin/orders/new"]`)
	b.press("main form .btn")
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(b.text("main"), "Everything is counted"); {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was gathered:\n%s", b.text("main"))
		}
		b.open(d.https + b.path())
	}
	b.do(chromedp.SetValue("#cause", "withdrawn"))
	b.fill("#comment", "trying it out")
	b.fill("#count", "1")
	b.press("main form .btn")
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(b.text("main"), "carried out"); {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was carried out:\n%s", b.text("main"))
		}
		b.open(d.https + b.path())
	}

	b.open(d.https + "/admin/halt")
	b.fill("#comment", "We change servers until 16:00")
	b.press("main form .btn")
	phone.open(d.https + "/new")
	if text := phone.text("main"); !strings.Contains(text, "We change servers until 16:00") {
		t.Errorf("an employee meanwhile:\n%s", text)
	}
	b.press("main form .btn")
	phone.open(d.https + "/new?p=android")
	phone.press("main form .btn")
	if text := phone.text("main"); strings.Contains(text, "We change servers") {
		t.Errorf("an employee afterwards:\n%s", text)
	}
}
