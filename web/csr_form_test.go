package web_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestBringKey enrols with a key that the person made, from form to certificate.
func TestBringKey(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	form := b.get("/new")
	fold := form.id("own-key")
	if fold == nil || fold.Data != "details" || attr(form.field("name"), "value") != "Anna’s Linux PC" {
		t.Fatalf("the page has no such form: %s", form.text())
	}
	for _, a := range fold.Attr {
		if a.Key == "open" {
			t.Error("the form is not folded away")
		}
	}
	token := attr(form.field("request"), "value")
	if token == "" || token == form.value("request") {
		t.Errorf("token: got %q, want one of its own", token)
	}
	key := newKey(t)
	got := b.post("/new/key", "name", "Build server", "platform", "linux", "csr", newRequest(t, key), "request", token)
	device := strings.TrimSuffix(got.location(), "/install")
	page := b.get(got.location())
	if got.status != 303 || page.status != 200 || !strings.Contains(page.text(), "Your certificate is ready") {
		t.Fatalf("got %d, then %d: %s", got.status, page.status, page.text())
	}
	if page.id("install-password") != nil || page.value("request") != "" || !strings.Contains(page.text(), "openssl pkcs12 -export") {
		t.Errorf("the page offers what there is not: %s", page.text())
	}
	wantLinks(t, page, device)
	leaf := b.leaf(device)
	if !key.PublicKey.Equal(leaf.PublicKey) || leaf.Subject.String() != "CN=anna@example.com" {
		t.Errorf("certificate of %s for another key", leaf.Subject)
	}
	if p.entries(audit.CertificateReserved) != 1 || p.entries(audit.CertificateIssued) != 1 || p.entries(audit.EnrolmentRefused) != 0 {
		t.Error("ledger: want one certificate reserved and issued")
	}
	if last := p.lastEntry(); last.Actor != "id-of-anna" || last.Action != audit.CertificateIssued || last.Detail["key"] != "device" {
		t.Errorf("last entry %s by %q %v", last.Action, last.Actor, last.Detail)
	}
	// It works, counts and bears its name like any other.
	home := b.get("/")
	if !strings.Contains(home.text(), "Build server") || !strings.Contains(home.text(), "Downloaded") {
		t.Errorf("home: %s", home.text())
	}
}

// wantLinks holds the page to both files and the anchors.
func wantLinks(t *testing.T, page answer, device string) {
	t.Helper()
	for _, href := range []string{device + "/certificate.pem", device + "/certificate.cer", "/ca?p=linux"} {
		if page.node(func(n *html.Node) bool { return n.Data == "a" && attr(n, "href") == href }) == nil {
			t.Errorf("the page has no link to %s", href)
		}
	}
}

// TestBroughtFiles reads both files, and who may have them.
func TestBroughtFiles(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	device := b.brought("Büro 📱", newRequest(t, newKey(t)))
	der, chain := b.get(device+"/certificate.cer"), b.get(device+"/certificate.pem")
	for _, tt := range []struct {
		got       answer
		kind, ext string
	}{{der, "application/pkix-cert", "cer"}, {chain, "application/x-pem-file", "pem"}} {
		h := tt.got.header
		want := `attachment; filename="Example-Buro.` + tt.ext + `"; filename*=UTF-8''Example-B%C3%BCro%20%F0%9F%93%B1.` + tt.ext
		if tt.got.status != 200 || h.Get("Content-Type") != tt.kind || h.Get("Cache-Control") != "no-store" || h.Get("Content-Disposition") != want {
			t.Errorf("%s: got %d with %v", tt.ext, tt.got.status, h)
		}
	}
	leaf := b.leaf(device)
	first, rest := pem.Decode(chain.body)
	second, rest := pem.Decode(rest)
	if !bytes.Equal(first.Bytes, leaf.Raw) || !bytes.Equal(second.Bytes, p.issuing.Raw) || len(rest) != 0 {
		t.Error("the .pem is not certificate and issuing CA")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(p.root)
	between.AddCert(p.issuing)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: testkit.Noon,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	file := b.enrol("Laptop", "linux")
	for _, ext := range []string{".cer", ".pem"} {
		path := device + "/certificate" + ext
		if got := p.signedIn("anna", linux).get(path); got.status != 200 {
			t.Errorf("%s in another session: got %d", ext, got.status)
		}
		if got := p.signedIn("ben", linux).get(path); got.status != 404 {
			t.Errorf("%s as somebody else: got %d, want 404", ext, got.status)
		}
		if got := p.browser(linux).get(path); got.status != 303 || !strings.HasPrefix(got.location(), "/login") {
			t.Errorf("%s as a stranger: got %d to %q", ext, got.status, got.location())
		}
		if got := b.get(file + "/certificate" + ext); got.status != 404 {
			t.Errorf("%s of a device that got a file: got %d, want 404", ext, got.status)
		}
	}
	b.post(device + "/remove")
	for _, path := range []string{"/certificate.cer", "/certificate.pem", "/install"} {
		if got := b.get(device + path); got.status != 404 {
			t.Errorf("%s after removing: got %d, want 404", path, got.status)
		}
	}
}

// TestBroughtGetsNoFile: the portal has no key to make one with.
func TestBroughtGetsNoFile(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	device := b.brought("Server", newRequest(t, newKey(t)))
	leaf := b.leaf(device)
	newFile := func(n *html.Node) bool { return n.Data == "form" && attr(n, "action") == device+"/install" }
	for _, path := range []string{device, device + "/install"} {
		if got := b.get(path); got.status != 200 || got.node(newFile) != nil {
			t.Errorf("%s: got %d, or a form for a new file", path, got.status)
		}
	}
	if got := b.post(device+"/install", "request", "x"); got.status != 409 {
		t.Errorf("new file: got %d, want 409", got.status)
	}
	if got := b.leaf(device); !got.Equal(leaf) || p.entries(audit.CertificateReserved) != 1 {
		t.Error("the certificate changed")
	}
	p.clock.Advance(366 * 24 * time.Hour)
	b = p.signedIn("anna", linux)
	over := b.get(device + "/install")
	if !strings.Contains(over.text(), "This certificate has ended") || over.id("download") != nil || over.node(newFile) != nil {
		t.Errorf("after its end: %s", over.text())
	}
	link := over.node(func(n *html.Node) bool { return strings.HasPrefix(attr(n, "href"), "/new/key") })
	if link == nil {
		t.Fatal("no way to bring a new request")
	}
	again := b.get(attr(link, "href"))
	if again.status != 200 || !hasAttr(again.id("own-key"), "open") || attr(again.field("platform"), "value") != "linux" {
		t.Errorf("the form does not stand open: %d", again.status)
	}
	b.brought("Server", newRequest(t, newKey(t)))
}

func hasAttr(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// TestBringTwice sends one form many times at once: one certificate.
func TestBringTwice(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	request := newRequest(t, newKey(t))
	var answers [8]answer
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = b.post("/new/key", "name", "Server", "platform", "linux", "csr", request, "request", "form")
		})
	}
	wg.Wait()
	for i, a := range answers {
		if a.status != 303 || a.location() != answers[0].location() {
			t.Errorf("tap %d: got %d to %q, want 303 to %q", i, a.status, a.location(), answers[0].location())
		}
	}
	if got := p.certificates("anna"); got[portal.Issued] != 1 || p.entries(audit.CertificateReserved) != 1 {
		t.Errorf("certificates: got %v, want one issued", got)
	}
}

// TestBringKeyOutage offers to send the same form again.
func TestBringKeyOutage(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	request := newRequest(t, newKey(t))
	p.directory.set(errors.New("directory is down"), nil)
	got := b.post("/new/key", "name", "Server", "platform", "linux", "csr", request, "request", "form")
	if got.status != 503 || got.value("request") != "form" || got.value("csr") != request || p.entries(audit.CertificateReserved) != 0 {
		t.Fatalf("got %d: %s", got.status, got.text())
	}
	p.directory.set(nil, nil)
	if got := b.post("/new/key", "name", got.value("name"), "platform", got.value("platform"), "csr", got.value("csr"), "request", "form"); got.status != 303 {
		t.Errorf("again: got %d: %s", got.status, got.text())
	}
	p.directory.set(nil, func(person *portal.Person) { person.Protected = true })
	if got := b.bring("Other", "linux", newRequest(t, newKey(t))); got.status != 403 {
		t.Errorf("protected: got %d, want 403", got.status)
	}
}

// TestBringKeyNames: the rules of a device's name are those of every device.
func TestBringKeyNames(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	b.enrol("Laptop", "linux")
	for _, tt := range []struct{ name, device, words string }{
		{"none", " ", "Enter a name"}, {"long", strings.Repeat("a", 41), "40 characters"}, {"taken", "LAPTOP", "already have a device called LAPTOP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := newRequest(t, newKey(t))
			got := b.post("/new/key", "name", tt.device, "platform", "linux", "csr", request, "request", "same")
			if got.status != 422 || got.id("key-name-error") == nil || !strings.Contains(nodeText(got.id("key-name-error")), tt.words) {
				t.Fatalf("got %d: %s", got.status, got.text())
			}
			if got.pasted() != request || attr(got.field("name"), "value") != tt.device || attr(got.field("request"), "value") != "same" {
				t.Error("what was typed is not kept")
			}
			if !hasAttr(got.id("own-key"), "open") || got.value("name") == "" || got.id("name-error") != nil {
				t.Error("the other form is at fault, or hides this one")
			}
		})
	}
	for _, name := range []string{"b", "c", "d", "e"} {
		b.enrol(name, "linux")
	}
	if got := b.bring("Sixth", "linux", newRequest(t, newKey(t))); got.status != 409 {
		t.Errorf("sixth device: got %d, want 409", got.status)
	}
	if got := p.entries(audit.CertificateReserved); got != 5 {
		t.Errorf("got %d serials, want 5", got)
	}
}

// TestPhonesBringNoKey: an iPhone takes up no such certificate, so its page does
// not offer it.
func TestPhonesBringNoKey(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	for _, path := range []string{"/new", "/new/key"} {
		if got := b.get(path); got.status != 200 || got.id("own-key") != nil {
			t.Errorf("%s: got %d, or the form", path, got.status)
		}
	}
	got := b.bring("Phone", "ios", newRequest(t, newKey(t)))
	if got.status != 422 || got.id("platform-error") == nil || p.lastEntry().Detail["reason"] != enroll.RequestPlatform {
		t.Errorf("got %d: %s", got.status, got.text())
	}
	if got := b.bring("Phone", "symbian", newRequest(t, newKey(t))); got.status != 422 || got.id("platform-error") == nil {
		t.Errorf("unknown platform: got %d: %s", got.status, got.text())
	}
	if got := p.entries(audit.CertificateReserved); got != 0 {
		t.Errorf("got %d serials", got)
	}
}
