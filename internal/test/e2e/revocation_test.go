package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/internal/test/relyingparty"
)

// TestRevocationTakesEffect reports a phone lost that every server accepts: then every
// server and every tool refuses it, by CRL and OCSP, the page shows the number of the
// CRL, and the owner's other phone keeps working.
func TestRevocationTakesEffect(t *testing.T) {
	need(t, "chromium", "openssl", "certtool", "ocsptool", "certutil", "crlutil")
	d := startDemo(t)
	a := d.trust(t)
	b := openTab(t, look{agent: androidUA})
	file, _, password := b.enrol(d)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lost := d.opened(content, password)
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	kept := d.newPhone(c, "Tablet")

	byList, online := d.servers(t, a)
	for _, p := range []phone{lost, kept} {
		everywhere(t, wantAdmitted, byList, online, p)
	}
	d.opinions(t, a).all(lost, true)
	before := d.list(t, a, "issuing")

	b.open(d.https + "/")
	b.press(`main [data-device="` + deviceOf(t, b) + `"] a.more`)
	b.press(`main a[href$="/lost"]`)
	b.press(`main .btn.danger`)
	d.awaitOnline(t, a, lost, ocsp.Revoked)
	for _, s := range online {
		wantRefused(t, "asking online", s, lost)
		wantAdmitted(t, "asking online", s, kept)
	}
	b.awaitAttribute("[data-list]", "data-list", "done")
	b.picture("revocation-blocked")

	list := d.list(t, a, "issuing")
	if text := b.text("main"); !strings.Contains(text, "Every server refuses it within") || strings.Contains(text, list.Number.String()) {
		t.Errorf("the owner reads\n%s\nwant a time, and no number of a list", text)
	}
	found, listed := entry(list, lost.serial)
	if !listed || found.ReasonCode != ocsp.KeyCompromise || list.Number.Cmp(before.Number) <= 0 {
		t.Errorf("list %s after %s: listed %t, reason %d, want keyCompromise and a higher number", list.Number, before.Number, listed, found.ReasonCode)
	}
	d.newLists(t, a, byList, lost, kept)
	d.opinions(t, a).all(lost, false)
	d.opinions(t, a).all(kept, true)
	d.pageTells(t, lost, before, list)
}

// everywhere asks servers of both kinds.
func everywhere(t *testing.T, want func(*testing.T, string, *relyingparty.Server, phone), byList, online []*relyingparty.Server, p phone) {
	t.Helper()
	for _, s := range byList {
		want(t, "by list", s, p)
	}
	for _, s := range online {
		want(t, "asking online", s, p)
	}
}

// deviceOf is the device that the browser enrolled, which is not the tablet.
func deviceOf(t *testing.T, b *tab) string {
	t.Helper()
	return eval[string](b, `[...document.querySelectorAll("main [data-device]")].find(e => !e.textContent.includes("Tablet")).dataset.device`)
}

// awaitOnline asks by OCSP until the answer says so.
func (d *demo) awaitOnline(t *testing.T, a trust, p phone, want int) *ocsp.Response {
	t.Helper()
	o := opinions{t: t, d: d, a: a}
	deadline, again := time.Now().Add(patience), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		got, err := ocsp.ParseResponseForCert(o.answer(p), p.leaf, a.certs["issuing"])
		if err != nil {
			t.Fatal(err)
		}
		if got.Status == want {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("OCSP status %d, want %d\n%s", got.Status, want, d.stderr())
		}
		<-again.C
	}
}

// newLists gives the servers the current CRLs. A new file alone changes nothing:
// Apache and nginx read CRLs when they start, and again at "apachectl graceful" and
// "nginx -s reload", so a job that fetches CRLs must reload the server.
func (d *demo) newLists(t *testing.T, a trust, servers []*relyingparty.Server, lost, kept phone) {
	t.Helper()
	lists := d.lists(t, a)
	for _, s := range servers {
		s.Replace(lists)
		wantAdmitted(t, "before it reads the new list", s, lost)
		s.Reload()
		awaitRefused(t, s, lost)
		wantRefused(t, "by the new list", s, lost)
		wantAdmitted(t, "by the new list", s, kept)
	}
}

// awaitRefused asks until the server has read its files again and the last worker
// with the old ones is gone.
func awaitRefused(t *testing.T, s *relyingparty.Server, p phone) {
	t.Helper()
	deadline, again := time.Now().Add(patience), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for refused := 0; refused < 5; refused++ {
		got := s.Ask(p.pair, tls.VersionTLS13)
		if got.Admitted {
			refused = 0
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s\n%s", s.Name, got, s.Log())
		}
		<-again.C
	}
}

// pageTells reads the administrator's page of the certificate: the list that names
// it, that the online answers do, and until when copies may say otherwise, which is
// the end of the last list without it.
func (d *demo) pageTells(t *testing.T, p phone, before, list *x509.RevocationList) {
	t.Helper()
	b := openTab(t, look{agent: windowsUA, width: 1280})
	b.signIn(d, d.person("admin"))
	b.open(d.https + "/admin/certificates/" + p.serial.String())
	b.picture("revocation-truth")
	const box = ".box[data-list]"
	if got, want := b.attribute(box, "data-list"), list.Number.String(); got != want {
		t.Errorf("the page names the list %s, want %s", got, want)
	}
	text := b.text(box)
	for _, want := range []string{"Number " + list.Number.String(), "CRLReason 1", "They say that it is blocked, since", "may accept it until"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	until := eval[string](b, `[...document.querySelectorAll(".box[data-list] time")].at(-1).dateTime`)
	if got, err := time.Parse(time.RFC3339, until); err != nil || !got.Equal(before.NextUpdate) {
		t.Errorf("the page says until %s, want the end of the list before, %s", until, before.NextUpdate)
	}
}

// report says what became of a phone, without a browser: lost, retired, returned.
func (d *demo) report(c *http.Client, p phone, reason string) {
	d.t.Helper()
	resp, err := d.post(d.t.Context(), c, p.page+"/lost", url.Values{"reason": {reason}})
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		d.t.Fatalf("reporting a phone as %s: %v, %v", reason, resp, err)
	}
}

// again starts the portal anew on the ports it had.
func (d *demo) again() {
	d.t.Helper()
	d.args = []string{
		"demo", "--listen", strings.TrimPrefix(d.https, "https://"),
		"--listen-http", strings.TrimPrefix(d.http, "http://"), "--data", d.dir,
	}
	d.start()
}

// stillRevoked wants the phone in list and answer, and the list not older than one
// that was fetched.
func (d *demo) stillRevoked(t *testing.T, a trust, p phone, seen int64) {
	t.Helper()
	d.awaitOnline(t, a, p, ocsp.Revoked)
	d.awaitRevoked(t, p.serial)
	list := d.list(t, a, "issuing")
	if found, _ := entry(list, p.serial); found.ReasonCode != ocsp.KeyCompromise {
		t.Errorf("reason %d, want keyCompromise", found.ReasonCode)
	}
	if got := list.Number.Int64(); got < seen {
		t.Errorf("list number %d after %d was published", got, seen)
	}
}

// TestA12_KilledAfterRevoking kills the portal as soon as it has said yes, and once
// the list is out: the answers and lists of the next start say revoked, and no number
// comes again.
func TestA12_KilledAfterRevoking(t *testing.T) {
	need(t, "openssl")
	d := startDemo(t)
	a := d.trust(t)
	for _, tt := range []struct {
		name string
		wait func(phone)
	}{
		{"before the list is out", func(phone) {}},
		{"after the list is out", func(p phone) { d.awaitRevoked(t, p.serial) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := d.visitor()
			d.signIn(c, d.person("employee"))
			p := d.newPhone(c, "Lost phone")
			d.report(c, p, "lost")
			tt.wait(p)
			seen := d.list(t, a, "issuing").Number.Int64()
			d.stop(syscall.SIGKILL)
			d.again()
			d.stillRevoked(t, a, p, seen)
			d.opinions(t, a).opensslByList(p, false)
		})
	}
}

// TestF15_YesterdaysRecords restores an older copy of the database: later revocations
// are recovered before anything is served, certificates issued later are revoked
// because the store does not know them, and CRL numbers continue.
func TestF15_YesterdaysRecords(t *testing.T) {
	need(t, "openssl")
	d := startDemo(t)
	a := d.trust(t)
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	lost, kept := d.newPhone(c, "Lost phone"), d.newPhone(c, "Kept phone")
	d.stop(syscall.SIGTERM)
	yesterday := t.TempDir()
	copyDatabase(t, d.dir, yesterday)
	d.again()

	c = d.visitor()
	d.signIn(c, d.person("employee"))
	later := d.newPhone(c, "Later phone")
	d.report(c, lost, "lost")
	d.awaitRevoked(t, lost.serial)
	seen := d.list(t, a, "issuing").Number.Int64()
	d.stop(syscall.SIGTERM)
	copyDatabase(t, yesterday, d.dir)
	d.again()

	// The first answers and lists of this start: nothing is waited for.
	o := d.opinions(t, a)
	for _, p := range []phone{lost, later} {
		got, err := ocsp.ParseResponseForCert(o.answer(p), p.leaf, a.certs["issuing"])
		if err != nil || got.Status == ocsp.Good {
			t.Errorf("serial %s: OCSP status %v, %v", p.serial, got, err)
		}
		if _, listed := entry(d.list(t, a, "issuing"), p.serial); !listed {
			t.Errorf("serial %s is not in the first list", p.serial)
		}
	}
	d.stillRevoked(t, a, lost, seen+1)
	d.awaitOnline(t, a, kept, ocsp.Good)
	o.opensslByList(kept, true)
	o.opensslByList(lost, false)
	o.opensslByList(later, false)
}

// copyDatabase puts the records of one data folder into another: of a stopped
// portal, so that no write-ahead log is beside them.
func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(filepath.Join(from, "portal.db"+suffix)); err == nil {
			t.Fatalf("portal.db%s is left by a portal that stopped", suffix)
		}
		_ = os.Remove(filepath.Join(to, "portal.db"+suffix))
	}
	src, err := os.Open(filepath.Join(from, "portal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(filepath.Join(to, "portal.db"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}
