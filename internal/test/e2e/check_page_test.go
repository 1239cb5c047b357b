package e2e

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/internal/test/testkit"
)

// browserWith is the home of a browser in which the file was imported.
func browserWith(t *testing.T, file, password string) string {
	t.Helper()
	need(t, "certutil", "pk12util")
	home := t.TempDir()
	store := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "certutil", "-N", "-d", "sql:"+store, "--empty-password")
	command(t, "pk12util", "-i", file, "-d", "sql:"+store, "-W", password)
	return home
}

// chooseByPolicy lets Chromium send its only certificate without asking, which a test
// cannot answer. The policy is the machine's and is removed afterwards.
func chooseByPolicy(t *testing.T) {
	t.Helper()
	const dir = "/etc/chromium/policies/managed"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("choosing a certificate needs root: %v", err)
		}
		t.Fatal(err)
	}
	file := filepath.Join(dir, "certportal-test.json")
	write(t, file, `{"AutoSelectCertificateForUrls": ["{\"pattern\":\"https://127.0.0.1\",\"filter\":{}}"]}`)
	t.Cleanup(func() { os.Remove(file) })
}

// TestCheckPageInABrowser: the phone's own browser shows its certificate and reads what it
// is worth; without one it reads what to do.
func TestCheckPageInABrowser(t *testing.T) {
	slow(t)
	need(t, "chromium")
	chooseByPolicy(t)
	d := startDemo(t)
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	path := d.enrolBy(c, "Anna's phone")
	device := strings.TrimSuffix(path, "/install")
	content, password := d.fetchFile(c, path)
	file := filepath.Join(t.TempDir(), "phone.p12")
	write(t, file, string(content))

	b := openTab(t, look{scripts: true, home: browserWith(t, file, password)})
	b.signIn(d, d.person("employee"))
	b.open(d.https + device)
	test := b.attribute("#test-link", "href")
	stranger := openTab(t, look{scripts: true})
	stranger.open(test)
	stranger.wantVerdict("none", "We did not see a certificate")
	b.press("#test-link")
	b.wantVerdict("works", "It works", "anna@demo.example")
	b.press("#finish")
	if got := b.text("main"); b.path() != device || !strings.Contains(got, "Works") {
		t.Errorf("after the test at %s:\n%s", b.path(), got)
	}
	d.wantByCurl(t, test, file, password, "works")
	b.press("#broken")
	if got := b.attribute("#fault", "data-fault"); got != "mail" || b.path() != device+"/trouble" {
		t.Errorf("the reason is %s, want mail:\n%s", got, b.text("main"))
	}
	b.check("trouble-mail")

	impostor := openTab(t, look{scripts: true, home: browserWith(t, d.lookAlike(t), "secret")})
	impostor.open(test)
	impostor.wantVerdict("foreign", "This certificate is not from", "anna@demo.example")
	d.wantByCurl(t, test, d.lookAlike(t), "secret", "foreign")

	d.age(-time.Hour)
	b.open(test)
	b.wantVerdict("expired", "This certificate has expired")
	d.wantByCurl(t, test, file, password, "expired")

	d.age(20 * 24 * time.Hour)
	b.open(d.https + device + "/renew")
	b.press("main form .btn")
	b.open(test)
	b.wantVerdict("replaced", "An earlier certificate answered", "It works until")
	d.wantByCurl(t, test, file, password, "replaced")

	d.report(c, phone{page: device}, "lost")
	b.open(test)
	b.wantVerdict("blocked", "This certificate was blocked")
	d.wantByCurl(t, test, file, password, "blocked")
}

// lookAlike is a file, with the password "secret", of a CA that has the name of the issuing
// one and another key: browsers offer its certificates too.
func (d *demo) lookAlike(t *testing.T) string {
	t.Helper()
	block, _ := pem.Decode([]byte(fetch(t, d.http+"/ca/issuing.pem")))
	parent := testkit.Must(x509.ParseCertificate(block.Bytes))(t)
	key := testkit.Must(ca.ECP256.Generate())(t)
	parent.PublicKey, parent.SignatureAlgorithm = key.Public(), x509.UnknownSignatureAlgorithm
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "anna@demo.example"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert := testkit.Must(x509.ParseCertificate(testkit.Must(x509.CreateCertificate(rand.Reader, leaf, parent, key.Public(), key))(t)))(t)
	file := filepath.Join(t.TempDir(), "impostor.p12")
	write(t, file, string(testkit.Must(pkcs12.Modern.Encode(key, cert, nil, "secret"))(t)))
	return file
}

// wantVerdict holds the check page that the window shows against the bars, in both schemes.
func (b *tab) wantVerdict(verdict string, words ...string) {
	b.t.Helper()
	text := b.text("main")
	if got := b.attribute("#verdict", "data-verdict"); got != verdict {
		b.t.Fatalf("the verdict is %s, want %s:\n%s", got, verdict, text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			b.t.Errorf("%s: the page does not say %q:\n%s", verdict, word, text)
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 320} {
			b.view(width, scheme)
			b.check("check-" + verdict)
			b.picture("check-" + verdict + "-" + scheme)
		}
	}
}

// wantByCurl asks for the verdict as a script would.
func (d *demo) wantByCurl(t *testing.T, address, file, password, verdict string) {
	t.Helper()
	need(t, "curl")
	root := filepath.Join(t.TempDir(), "root.pem")
	write(t, root, fetch(t, d.http+"/ca/root.pem"))
	out := command(t, "curl", "-sS", "--cacert", root, "--cert-type", "P12", "--cert", file+":"+password,
		"-H", "Accept: application/json", address)
	var v struct{ Verdict string }
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Verdict != verdict {
		t.Errorf("curl: %s, %v, want %s", out, err, verdict)
	}
	resp, err := http.Get("http" + strings.TrimPrefix(address, "https"))
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain http on the check port: %v, %v", resp, err)
	}
}
