package e2e

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
)

// age makes the portal take all certificates in use for nearly run out. What is
// signed stays as it is.
func (d *demo) age(left time.Duration) {
	d.t.Helper()
	db, err := sql.Open("sqlite", "file://"+filepath.Join(d.dir, "portal.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	end := time.Now().Add(left)
	_, err = db.Exec("UPDATE certificates SET not_before = $1, not_after = $2 WHERE kind = 'user' AND status = 'issued'",
		end.Add(-365*24*time.Hour).UnixMilli(), end.UnixMilli())
	if err != nil {
		d.t.Fatal(err)
	}
}

// keep writes the certificate of a file where OpenSSL finds it, and gives its path
// and its serial.
func keep(t *testing.T, file, password string) (path string, serial ca.Serial) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, leaf, _, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		t.Fatalf("opening the file with the password %q: %v", password, err)
	}
	if serial, err = ca.SerialOf(leaf.SerialNumber); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "leaf.pem")
	write(t, path, pemOf(leaf))
	return path, serial
}

// verify has OpenSSL check a certificate against the portal's roots and the list in
// force, and gives what it says.
func (d *demo) verify(t *testing.T, leaf string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	root, chain := filepath.Join(dir, "root.pem"), filepath.Join(dir, "issuing.pem")
	der, list := filepath.Join(dir, "issuing.crl"), filepath.Join(dir, "crl.pem")
	write(t, root, fetch(t, d.http+"/ca/root.pem"))
	write(t, chain, fetch(t, d.http+"/ca/issuing.pem"))
	write(t, der, fetch(t, d.http+"/crl/issuing.crl"))
	command(t, "openssl", "crl", "-inform", "DER", "-in", der, "-out", list)
	out, err := exec.CommandContext(t.Context(), "openssl", "verify", "-crl_check", "-CRLfile", list,
		"-CAfile", root, "-untrusted", chain, leaf).CombinedOutput()
	return string(out), err
}

// TestRenewal renews without JavaScript: both certificates are good to OpenSSL until
// their owner says that the new one works; then the list names the old one.
func TestRenewal(t *testing.T) {
	need(t, "chromium", "openssl")
	d := startDemo(t)
	b := openTab(t, look{agent: androidUA})
	file, _, password := b.enrol(d)
	oldLeaf, oldSerial := keep(t, file, password)
	d.age(20 * 24 * time.Hour)

	b.open(d.https + "/")
	if got := b.text("main"); !strings.Contains(got, "stops working in 19 days") {
		t.Errorf("home does not remind:\n%s", got)
	}
	b.picture("life-home")
	b.press(`main a[href$="/renew"]`)
	b.picture("life-renew")
	b.press(`main form .btn`)
	if !strings.HasSuffix(b.path(), "/install") {
		t.Fatalf("after renewing at %s:\n%s", b.path(), b.text("main"))
	}
	b.picture("life-installing")
	password = strings.Join(strings.Fields(b.text("#install-password")), "")
	file, _ = b.download("#download")
	newLeaf, newSerial := keep(t, file, password)
	if newSerial == oldSerial {
		t.Fatalf("the renewal delivered the old certificate %s", oldSerial)
	}
	for name, leaf := range map[string]string{"old": oldLeaf, "new": newLeaf} {
		if out, err := d.verify(t, leaf); err != nil {
			t.Errorf("the %s certificate while both are to work: %v\n%s", name, err, out)
		}
	}

	b.open(d.https + b.path())
	b.press("#finish")
	b.picture("life-finished")
	d.awaitRevoked(t, oldSerial)
	if out, err := d.verify(t, oldLeaf); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("the old certificate after its end: %v\n%s", err, out)
	}
	if out, err := d.verify(t, newLeaf); err != nil {
		t.Errorf("the new certificate: %v\n%s", err, out)
	}
}

// TestLostPhone takes three taps from the home page, without JavaScript, and waits
// for the page to say that the list is out.
func TestLostPhone(t *testing.T) {
	need(t, "chromium", "openssl")
	d := startDemo(t)
	b := openTab(t, look{agent: androidUA})
	file, _, password := b.enrol(d)
	leaf, serial := keep(t, file, password)

	b.open(d.https + "/")
	b.press(`main [data-device] a.more`)
	b.press(`main a[href$="/lost"]`)
	b.press(`main .btn.danger`)
	b.awaitText("main", "Every server refuses it within")
	b.picture("life-blocked")
	d.awaitRevoked(t, serial)
	if out, err := d.verify(t, leaf); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("OpenSSL about a blocked phone: %v\n%s", err, out)
	}
	b.open(d.https + "/")
	if got := b.text("main"); !strings.Contains(got, "Blocked") {
		t.Errorf("home:\n%s", got)
	}
}

// awaitText waits until the page, which reloads itself, contains a text.
func (b *tab) awaitText(selector, want string) {
	b.t.Helper()
	b.await(func() (string, bool) {
		text := b.text(selector)
		return "text:\n" + text, strings.Contains(text, want)
	}, want)
}

// lifeScreens are the pages of a device that grows old, in an order one visitor can
// walk.
func lifeScreens() []screen {
	longName := "Donaudampfschifffahrtsgesellschaftskapit" // one word of forty characters
	device := func(act string) func(*tab, *demo) {
		return func(b *tab, d *demo) {
			parts := strings.SplitN(strings.TrimPrefix(b.path(), "/devices/"), "/", 2)
			b.open(d.https + "/devices/" + parts[0] + act)
		}
	}
	send := func(b *tab, _ *demo) { b.press("main form .btn") }
	return []screen{
		{"life-install", func(b *tab, d *demo) {
			b.signIn(d, d.person("employee"))
			b.open(d.https + "/new")
			b.fill(`input[name="name"]`, longName)
			b.press("main form .btn")
			b.download("#download")
		}},
		{"life-device-early", device("")},
		{"life-renew-early", device("/renew")},
		{"life-device", func(b *tab, d *demo) { d.age(12 * 24 * time.Hour); device("")(b, d) }},
		{"life-home", func(b *tab, d *demo) {
			b.open(d.https + "/")
			b.view(390, "light")
		}},
		{"life-renew", func(b *tab, d *demo) { b.press(`main a[href$="/renew"]`) }},
		{"life-renewed", send},
		{"life-device-renewed", device("")},
		{"life-arrived", func(b *tab, d *demo) { device("/install")(b, d); b.download("#download"); device("/install")(b, d) }},
		{"life-device-arrived", device("")},
		{"life-rename", device("/rename")},
		{"life-rename-error", func(b *tab, d *demo) { b.fill(`input[name="name"]`, " "); b.press("main form .btn") }},
		{"life-expired", func(b *tab, d *demo) { d.age(-12 * 24 * time.Hour); device("")(b, d) }},
		{"life-home-expired", func(b *tab, d *demo) { b.open(d.https + "/") }},
		{"life-renew-expired", func(b *tab, d *demo) { b.press(`main a[href$="/renew"]`) }},
		{"life-lost", device("/lost")},
		{"life-blocked", func(b *tab, d *demo) {
			b.press("main .btn.danger")
			b.awaitAttribute("[data-list]", "data-list", "done")
		}},
		{"life-device-blocked", device("")},
		{"life-renew-blocked", device("/renew")},
	}
}

// awaitAttribute waits until an attribute of the page, which reloads itself, has a value.
func (b *tab) awaitAttribute(selector, name, want string) {
	b.t.Helper()
	b.await(func() (string, bool) {
		value := b.attribute(selector, name)
		return name + " of " + selector + ": " + value, value == want
	}, want)
}

// await reads the page until it is in a state. read returns what it found, for the
// failure message.
func (b *tab) await(read func() (string, bool), want string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		found, ok := read()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("waiting for %q: %s", want, found)
		}
		<-again.C
	}
}

// TestLifePages holds the pages of renewing, losing and naming a device against the
// bars of all pages.
func TestLifePages(t *testing.T) {
	slow(t)
	showEverywhere(t, androidUA, func(*demo) []screen { return lifeScreens() })
}
