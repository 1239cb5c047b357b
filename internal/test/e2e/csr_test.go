package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBringKey enrols with a person's own key, in a browser without scripts: OpenSSL
// makes the request, which asks for the administrator's name, and joins the
// certificate with the key.
func TestBringKey(t *testing.T) {
	need(t, "chromium", "openssl")
	d := startDemo(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	command(t, "openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=administrator@demo.example",
		"-addext", "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:administrator@demo.example",
		"-addext", "basicConstraints=critical,CA:TRUE", "-keyout", at("private.key"), "-out", at("request.pem"))
	request, err := os.ReadFile(at("request.pem"))
	if err != nil {
		t.Fatal(err)
	}

	b := openTab(t, look{agent: windowsUA})
	b.signIn(d, d.person("employee"))
	b.press(`main a[href^="/new"]`)
	if eval[bool](b, `document.getElementById("csr").checkVisibility()`) {
		t.Error("the form is not folded away")
	}
	eval[bool](b, `document.querySelector("#own-key summary").click(), true`)
	b.fill("#key-name", "Anna's key")
	b.do(chromedp.SendKeys("#csr", string(request)))
	b.picture("new key")
	b.press("#own-key form .btn")
	if !strings.HasSuffix(b.path(), "/install") || eval[int](b, `document.querySelectorAll("#install-password").length`) != 0 {
		t.Fatalf("at %s, want the install page without a password:\n%s", b.path(), b.text("main"))
	}
	b.picture("result key")
	file, name := b.download("#download")
	if !strings.HasSuffix(name, ".pem") {
		t.Errorf("the file is called %q", name)
	}
	single, name := b.download("#download-der")
	if !strings.HasSuffix(name, ".cer") {
		t.Errorf("the file is called %q", name)
	}
	checkBrought(t, d, file, single, at)
}

// checkBrought has OpenSSL verify the files, compare them with the key, and join
// the two by the command of the page.
func checkBrought(t *testing.T, d *demo, file, single string, at func(string) string) {
	t.Helper()
	write(t, at("root.pem"), fetch(t, d.http+"/ca/root.pem"))
	command(t, "openssl", "x509", "-inform", "DER", "-in", single, "-out", at("leaf.pem"))
	command(t, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient", "-CAfile", at("root.pem"), "-untrusted", file, at("leaf.pem"))
	ofKey := command(t, "openssl", "pkey", "-in", at("private.key"), "-pubout")
	for _, cert := range []string{file, at("leaf.pem")} {
		if got := command(t, "openssl", "x509", "-in", cert, "-noout", "-pubkey"); got != ofKey {
			t.Errorf("%s is for another key:\n%s", cert, got)
		}
	}
	text := command(t, "openssl", "x509", "-in", file, "-noout", "-text")
	for _, want := range []string{
		"Subject: CN = anna@demo.example", "email:anna@demo.example", "S-1-5-21-1004336348-1177238915-682003330-1101",
		"TLS Web Client Authentication", "URI:" + d.http + "/crl/issuing.crl",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl x509 -text does not show %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "administrator") || strings.Contains(text, "CA:TRUE") {
		t.Errorf("the certificate holds what the request asked for:\n%s", text)
	}
	command(t, "openssl", "pkcs12", "-export", "-inkey", at("private.key"), "-in", file, "-out", at("certificate.p12"), "-passout", "pass:test")
	if out := command(t, "openssl", "pkcs12", "-in", at("certificate.p12"), "-passin", "pass:test", "-nodes"); strings.Count(out, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("the joined file does not hold certificate and issuing CA:\n%s", out)
	}
}

// newRequest is a certificate request for a new key.
func newRequest(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// bring sends a request by the open form.
func (b *tab) bring(d *demo, name, request string) {
	b.t.Helper()
	b.open(d.https + "/new/key")
	b.fill("#key-name", name)
	b.do(chromedp.SendKeys("#csr", request))
	b.press("#own-key form .btn")
}
