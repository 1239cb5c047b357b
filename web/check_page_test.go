package web_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"crypto/ecdsa"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/web"
)

// checkedFile is an enrolled device whose file was fetched, and the check address.
type checkedFile struct {
	file
	address string // of the check page
	client  *http.Client
	pair    tls.Certificate
}

// newChecked starts a portal with a check address and fetches the file of a device.
func newChecked(t *testing.T, change ...func(*web.Config)) checkedFile {
	t.Helper()
	check := httptest.NewUnstartedServer(nil)
	at := &url.URL{Scheme: "https", Host: check.Listener.Addr().String()}
	f := newFile(t, "android", append(change, func(c *web.Config) { c.CheckURL = at })...)
	check.Config.Handler = f.server.CheckHandler()
	check.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	check.StartTLS()
	t.Cleanup(check.Close)
	got := f.anonymous.get(f.href)
	key, leaf, chain, err := pkcs12.DecodeChain(got.body, f.password)
	if err != nil {
		t.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return checkedFile{f, check.URL, check.Client(), pair}
}

// show opens the check page with a certificate, or with none.
func (f checkedFile) show(pair *tls.Certificate, path string, headers ...string) answer {
	f.t.Helper()
	transport := f.client.Transport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	if pair != nil {
		// Also where the server names other CAs, as a hostile client would.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	b := f.browser(android)
	b.base, b.client = f.address, &http.Client{Transport: transport, CheckRedirect: b.client.CheckRedirect}
	return b.get(path, headers...)
}

// wantVerdict checks page and JSON.
func (f checkedFile) wantVerdict(pair *tls.Certificate, path, verdict string, words ...string) {
	f.t.Helper()
	got := f.show(pair, path)
	node := got.id("verdict")
	if got.status != 200 || node == nil || attr(node, "data-verdict") != verdict {
		f.t.Errorf("got %d, want the verdict %s: %s", got.status, verdict, got.text())
		return
	}
	for _, word := range words {
		if !strings.Contains(got.text(), word) {
			f.t.Errorf("%s: the page does not say %q: %s", verdict, word, got.text())
		}
	}
	var v struct{ Verdict, Device, UPN, Serial string }
	if err := json.Unmarshal(f.show(pair, path, "Accept", "application/json").body, &v); err != nil || v.Verdict != verdict {
		f.t.Errorf("JSON: %+v, %v, want %s", v, err, verdict)
	}
}

func (f checkedFile) path() string {
	return "/test?device=" + strings.TrimPrefix(f.device, "/devices/")
}

// TestCheckPage: the certificate of a phone gets each verdict, and the first that is good is
// what the portal then knows.
func TestCheckPage(t *testing.T) {
	t.Parallel()
	f := newChecked(t)
	link := f.owner.get(f.device + "/install").id("test-link")
	if link == nil || attr(link, "href") != f.address+f.path() || f.owner.get(f.device).id("test-link") == nil {
		t.Fatalf("the link to the test is %v", link)
	}
	f.wantVerdict(nil, f.path(), "none", "We did not see a certificate", "Use Chrome")
	if !f.certificate().Works.IsZero() {
		t.Error("no certificate was shown, and it works")
	}
	f.wantVerdict(&f.pair, f.path(), "works", "It works", "Annas Telefon", "anna@example.com", "Finish")
	if c := f.certificate(); c.State(f.clock.Now()) != portal.StateWorks || f.entries(audit.CertificateWorks) != 1 {
		t.Errorf("the state is %s, with %d entries", c.State(f.clock.Now()), f.entries(audit.CertificateWorks))
	}
	install := f.owner.get(f.device + "/install?lang=en")
	if install.id("install-password") != nil || !strings.Contains(install.text(), "The install password is hidden, because the certificate works") {
		t.Errorf("the install page after the test: %s", install.text())
	}
	f.wantVerdict(&f.pair, "/test", "works")
	f.wantVerdict(&f.pair, "/test?device=abc", "other", "Another certificate answered", "Annas Telefon")
	f.wantVerdict(&f.pair, "/test?device=%3Cscript%3E", "works")

	f.clock.Set(f.pair.Leaf.NotBefore.Add(-time.Hour))
	f.wantVerdict(&f.pair, f.path(), "early", "not valid yet")
	f.clock.Set(testkit.Noon.Add(time.Minute))
	f.owner.post(f.device+"/lost", "reason", "lost")
	f.wantVerdict(&f.pair, f.path(), "blocked", "This certificate was blocked")
	if got := f.signedIn("hedi", linux).get(annaPage + "?lang=en").text(); !strings.Contains(got, "Last testThis certificate was blocked, 22 November 2026") {
		t.Errorf("the helpdesk reads: %s", got)
	}
}

// TestCheckPageLater: expired and replaced certificates get different verdicts.
func TestCheckPageLater(t *testing.T) {
	t.Parallel()
	f := newChecked(t)
	f.clock.Set(f.pair.Leaf.NotAfter.Add(-20 * 24 * time.Hour))
	f.owner = f.signedIn("anna", android)
	question := f.owner.get(f.device + "/renew")
	f.owner.post(f.device+"/renew", "request", question.value("request"))
	f.wantVerdict(&f.pair, f.path(), "replaced", "An earlier certificate answered", "It works until")
	href, _ := f.owner.download(f.device)
	f.anonymous.get(href)
	f.owner.post(f.device + "/finish")
	f.wantVerdict(&f.pair, f.path(), "replaced", "no longer works")

	revoked := newChecked(t)
	revoked.revokeAuthority()
	revoked.wantVerdict(&revoked.pair, revoked.path(), "blocked", "can no longer be used")

	g := newChecked(t)
	g.clock.Set(g.pair.Leaf.NotAfter.Add(time.Hour))
	g.wantVerdict(&g.pair, g.path(), "expired", "This certificate has expired")
}

// TestA5_HostileCertificates: each gets a verdict, and what is not the recorded
// certificate, byte by byte, is not from this portal.
func TestA5_HostileCertificates(t *testing.T) {
	t.Parallel()
	f := newChecked(t)
	key := testkit.Must(ca.ECP256.Generate())(t)
	forge := func(change func(*x509.Certificate), key crypto.Signer) *tls.Certificate {
		leaf := *f.pair.Leaf
		leaf.PublicKey, leaf.SignatureAlgorithm = key.Public(), x509.UnknownSignatureAlgorithm
		change(&leaf)
		parent := *f.issuing // the same name and key identifier as the real one
		parent.PublicKey, parent.SignatureAlgorithm = key.Public(), x509.UnknownSignatureAlgorithm
		der := testkit.Must(x509.CreateCertificate(rand.Reader, &leaf, &parent, key.Public(), key))(t)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	same := func(*x509.Certificate) {}
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
	}
	long := forge(same, key)
	for range 50 {
		long.Certificate = append(long.Certificate, long.Certificate[0])
	}
	huge := new(big.Int).Lsh(big.NewInt(1), 159)
	tests := map[string]*tls.Certificate{
		"look-alike CA, copied serial": forge(same, key), "unknown critical extension": forge(critical, key), "chain of 50": long,
		"serial of 20 bytes":    forge(func(c *x509.Certificate) { c.SerialNumber = huge }, key),
		"RSA":                   forge(same, testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t)),
		"P-521":                 forge(same, testkit.Must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t)),
		"name with markup":      forge(func(c *x509.Certificate) { c.Subject.CommonName = "<script>alert(1)</script>\u202e" }, key),
		"name that is too long": forge(func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("x", 10_000) }, key),
		"the CA itself":         {Certificate: [][]byte{f.issuing.Raw}, PrivateKey: key},
	}
	for name, pair := range tests {
		t.Run(name, func(t *testing.T) {
			if name == "the CA itself" { // without its key: the handshake fails
				if _, err := f.tryShow(pair); err == nil {
					t.Error("a certificate without its key was taken")
				}
				return
			}
			got := f.show(pair, f.path())
			if node := got.id("verdict"); node == nil || attr(node, "data-verdict") != "foreign" || bytes.Contains(got.body, []byte("<script>alert")) {
				t.Errorf("got %d: %s", got.status, got.text())
			}
		})
	}
	f.wantVerdict(&f.pair, f.path(), "works")
}

func (f checkedFile) tryShow(pair *tls.Certificate) (*http.Response, error) {
	transport := f.client.Transport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.address+"/test", nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err == nil {
		err = response.Body.Close()
	}
	return response, err
}

// TestCheckHeader: behind a proxy that ends TLS the certificate comes in a header, in the
// forms that proxies use; from any other address the header is nothing.
func TestCheckHeader(t *testing.T) {
	t.Parallel()
	const header = "Client-Cert"
	proxied := newChecked(t, func(c *web.Config) {
		c.CheckHeader, c.TrustedProxies = header, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	der := proxied.pair.Leaf.Raw
	text := string(ca.PEM(proxied.pair.Leaf))
	b64 := base64.StdEncoding.EncodeToString(der)
	for name, tt := range map[string]struct{ value, verdict string }{
		"RFC 9440": {":" + b64 + ":", "works"}, "HAProxy": {b64, "works"}, "nginx": {url.PathEscape(text), "works"},
		"Apache": {strings.TrimSpace(strings.ReplaceAll(text, "\n", " ")), "works"}, "none": {"", "none"}, "Apache without": {"(null)", "none"},
		"garbage": {"%zz", "foreign"}, "half": {b64[:40], "foreign"}, "PEM of nothing": {"-----BEGIN CERTIFICATE----- ! -----END CERTIFICATE-----", "foreign"},
	} {
		t.Run(name, func(t *testing.T) {
			got := proxied.show(nil, "/test", header, tt.value)
			if node := got.id("verdict"); node == nil || attr(node, "data-verdict") != tt.verdict {
				t.Errorf("got %d, want %s: %s", got.status, tt.verdict, got.text())
			}
		})
	}
	direct := newChecked(t, func(c *web.Config) {
		c.CheckHeader, c.TrustedProxies = header, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	value := ":" + base64.StdEncoding.EncodeToString(direct.pair.Leaf.Raw) + ":"
	if got := direct.show(nil, "/test", header, value); attr(got.id("verdict"), "data-verdict") != "none" {
		t.Errorf("an address that is no proxy claims a certificate: %s", got.text())
	}
	if !strings.Contains(direct.log.String(), "no trusted proxy sends the header") {
		t.Error("the log does not say so")
	}
}

// TestCheckAddressIsNoPortal: other pages are at the portal, and forms are refused.
func TestCheckAddressIsNoPortal(t *testing.T) {
	t.Parallel()
	f := newChecked(t)
	got := f.show(nil, "/devices/abc?p=ios")
	if got.status != 308 || got.location() != f.https.URL+"/devices/abc?p=ios" {
		t.Errorf("another page: got %d to %q", got.status, got.location())
	}
	b := f.browser(android)
	b.base, b.client = f.address, f.client
	if got := b.post("/login", "username", "anna", "password", password); got.status != 404 {
		t.Errorf("signing in there: got %d, want 404", got.status)
	}
	if got := f.show(nil, "/test"); got.header.Get("Cache-Control") != "no-store" || got.id("verdict") == nil {
		t.Errorf("headers: %v", got.header)
	}
}
