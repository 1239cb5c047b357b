package web_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micromdm/plist"
	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/web"
)

// withSCEP makes phones make their keys.
func withSCEP(c *web.Config) {
	c.SCEP = &web.SCEP{URL: "http://certs.example.com/scep", CAFingerprint: func() []byte { return []byte("fingerprint of a CA.") }}
}

// deviceKeyPhone is a portal with a phone that was offered a profile without a key.
type deviceKeyPhone struct {
	*testPortal
	signer *publicSigner
	owner  *browser
	device string // path
	href   string // of the profile
}

func newDeviceKeyPhone(t *testing.T, change ...func(*web.Config)) deviceKeyPhone {
	t.Helper()
	s := newSigner(t, "ec")
	p := newPortal(t, append(change, s.sign, withSCEP)...)
	k := deviceKeyPhone{testPortal: p, signer: s, owner: p.signedIn("anna", iPhone)}
	k.device = k.owner.enrol("Annas Telefon", "ios")
	k.href = k.owner.profile(k.device)
	return k
}

// profile is the address of the profile that a page offers. It fails when the page
// shows a password.
func (b *browser) profile(device string) string {
	b.t.Helper()
	got := b.get(device + "/install")
	link := got.id("download")
	if got.status != 200 || link == nil || !strings.Contains(attr(link, "href"), ".mobileconfig?") {
		b.t.Fatalf("install page offers no profile: %d: %s", got.status, got.text())
	}
	if got.id("install-password") != nil || strings.Contains(got.text(), "enter your install password") {
		b.t.Error("the page asks for a password")
	}
	return attr(link, "href")
}

// payloads are the contents of a profile, by type; each has one of the types asked
// for here.
func (k deviceKeyPhone) payloads(data []byte) (profile map[string]any, byType map[string]map[string]any) {
	k.t.Helper()
	p7, err := pkcs7.Parse(data)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := plist.Unmarshal(p7.Content, &profile); err != nil {
		k.t.Fatal(err)
	}
	byType = map[string]map[string]any{}
	for _, content := range profile["PayloadContent"].([]any) {
		payload := content.(map[string]any)
		byType[strings.TrimPrefix(payload["PayloadType"].(string), "com.apple.")] = payload
	}
	return profile, byType
}

// secret is the challenge in a profile.
func (k deviceKeyPhone) secret(data []byte) string {
	k.t.Helper()
	_, byType := k.payloads(data)
	return byType["security.scep"]["PayloadContent"].(map[string]any)["Challenge"].(string)
}

// phoneKeys are two, made once.
var phoneKeys = [2]func() (*rsa.PrivateKey, error){newPhoneKey(), newPhoneKey()}

func newPhoneKey() func() (*rsa.PrivateKey, error) {
	return sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
}

// redeem does what a phone makes the SCEP server do.
func (k deviceKeyPhone) redeem(secret string, n int) (*x509.Certificate, error) {
	k.t.Helper()
	key, err := phoneKeys[n]()
	if err != nil {
		k.t.Fatal(err)
	}
	return k.registrar.Redeem(k.t.Context(), portal.Actor{Address: "192.0.2.9"}, secret, key.Public())
}

// TestKeylessProfile goes the whole way of a phone that makes its key.
func TestKeylessProfile(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t, withExchange)
	before := k.owner.get(k.device + "/install").text()
	for _, words := range []string{"Your phone makes its key itself", "Works once, for 10 more minutes, until 12:10", "mailbox sets itself up"} {
		if !strings.Contains(before, words) {
			t.Errorf("page does not say %q: %s", words, before)
		}
	}
	got := k.browser(linux).get(k.href)
	if got.status != 200 || got.header.Get("Content-Type") != "application/x-apple-aspen-config" || got.header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(got.header.Get("Content-Disposition"), `inline; filename="Example-Annas-Telefon-1.mobileconfig"`) {
		t.Fatalf("got %d with %v", got.status, got.header)
	}
	profile, byType := k.payloads(got.body)
	if profile["PayloadIdentifier"] != "certportal.127-0-0-1."+k.profileName(k.device) || byType["security.pkcs12"] != nil {
		t.Errorf("profile %v holds a key or is another's", profile["PayloadIdentifier"])
	}
	enrolment, account := byType["security.scep"], byType["eas.account"]
	content := enrolment["PayloadContent"].(map[string]any)
	for key, want := range map[string]any{"URL": "http://certs.example.com/scep", "Key Type": "RSA", "Keysize": uint64(2048), "KeyIsExtractable": false} {
		if content[key] != want {
			t.Errorf("%s: got %v, want %v", key, content[key], want)
		}
	}
	if fingerprint, _ := content["CAFingerprint"].([]byte); string(fingerprint) != "fingerprint of a CA." {
		t.Errorf("fingerprint: got %q", fingerprint)
	}
	if account["PayloadCertificateUUID"] != enrolment["PayloadUUID"] || account["UserName"] != "anna@example.com" || account["EmailAddress"] != "anna@example.com" {
		t.Errorf("account: got %v", account)
	}
	if len(k.certificates("anna")) != 0 || strings.Contains(k.owner.get("/").text(), "Annas Telefon") {
		t.Error("a phone that did not ask yet is listed")
	}
	cert, err := k.redeem(k.secret(got.body), 0)
	if err != nil || cert.Subject.CommonName != "anna@example.com" {
		t.Fatal(err)
	}
	after := k.owner.get(k.device + "/install")
	if !strings.Contains(after.text(), "The certificate is on the phone") || after.id("download") != nil {
		t.Errorf("after enrolling: %s", after.text())
	}
	if got := k.browser(linux).get(k.href); got.status != 410 {
		t.Errorf("used profile: got %d, want 410", got.status)
	}
	if !strings.Contains(k.owner.get("/").text(), "Annas Telefon") || k.certificates("anna")[portal.Issued] != 1 {
		t.Error("the phone is not listed")
	}
}

// TestOthersGetAKey: only phones whose profile is signed make their own.
func TestOthersGetAKey(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, "ec")
	p := newPortal(t, signer.sign, withSCEP)
	for _, platform := range []string{"macos", "android", "windows", "linux"} {
		b := p.signedIn("ben", linux)
		if href, secret := b.download(b.enrol("My "+platform, platform)); secret == "" || p.browser(linux).get(href).status != 200 {
			t.Errorf("%s: offered %s", platform, href)
		}
	}
	if f := newFile(t, "ios", withSCEP); !strings.Contains(f.href, ".p12?") {
		t.Errorf("without a signer: offered %s", f.href)
	}
	if got := p.entries(audit.ChallengeMade); got != 0 {
		t.Errorf("got %d challenges", got)
	}
}

// TestKeylessRenewal: the next profile of a phone takes the place of the last.
func TestKeylessRenewal(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t, withExchange)
	first := k.browser(linux).get(k.href).body
	if _, err := k.redeem(k.secret(first), 0); err != nil {
		t.Fatal(err)
	}
	k.clock.Advance(time.Hour)
	again := k.signedIn("anna", iPhone)
	if got := again.post(k.device+"/install", "request", "renewal"); got.location() != k.device+"/install" {
		t.Fatalf("got %d to %q", got.status, got.location())
	}
	if got := k.certificates("anna")[portal.Issued]; got != 1 {
		t.Errorf("the old certificate ended before the phone has the new one: %d", got)
	}
	href := again.profile(k.device)
	second := k.browser(linux).get(href).body
	was, wasIn := k.payloads(first)
	is, isIn := k.payloads(second)
	if was["PayloadIdentifier"] != is["PayloadIdentifier"] || was["PayloadUUID"] != is["PayloadUUID"] || len(wasIn) != len(isIn) {
		t.Error("the new profile does not replace the old one")
	}
	for kind, old := range wasIn {
		changed := old["PayloadUUID"] != isIn[kind]["PayloadUUID"]
		if old["PayloadIdentifier"] != isIn[kind]["PayloadIdentifier"] || changed != (kind == "security.scep") {
			t.Errorf("%s: was %v, is %v", kind, old["PayloadUUID"], isIn[kind]["PayloadUUID"])
		}
	}
	if isIn["eas.account"]["PayloadCertificateUUID"] != isIn["security.scep"]["PayloadUUID"] {
		t.Error("the mailbox uses the old identity")
	}
	again.post(k.device+"/install", "request", "third")
	if got := k.browser(linux).get(href); got.status != 404 {
		t.Errorf("replaced profile: got %d, want 404", got.status)
	}
	third := k.secret(k.browser(linux).get(again.profile(k.device)).body)
	if _, err := k.redeem(k.secret(second), 1); err == nil {
		t.Error("a replaced challenge still works")
	}
	if _, err := k.redeem(third, 1); err != nil {
		t.Fatal(err)
	}
	if got := k.certificates("anna")[portal.Issued]; got != 1 || k.entries(audit.CertificateRevoked) != 0 || k.entries(audit.CertificateSuperseded) != 1 {
		t.Errorf("got %d certificates, want the new one, and the old one for a while", got)
	}
}

// TestCertificateAlone: one tap away there is the plain file.
func TestCertificateAlone(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t)
	form := k.owner.get(k.device + "/install").id("alone")
	if form == nil || attr(form, "action") != k.device+"/install" {
		t.Fatal("the page has no form for the certificate alone")
	}
	k.clock.Advance(time.Second)
	if got := k.owner.post(k.device+"/install", "request", "x", "alone", "1"); got.location() != k.device+"/install" {
		t.Fatalf("got %d to %q", got.status, got.location())
	}
	href, secret := k.owner.download(k.device)
	if _, leaf, _, err := pkcs12.DecodeChain(k.browser(linux).get(href).body, secret); err != nil || leaf.Subject.CommonName != "anna@example.com" {
		t.Errorf("file %s: %v", href, err)
	}
	k.clock.Advance(time.Second)
	k.owner.post(k.device+"/install", "request", "y")
	k.owner.profile(k.device)
	off := newFile(t, "ios")
	if got := off.owner.post(off.device+"/install", "request", "x", "alone", "1"); got.status != http.StatusBadRequest {
		t.Errorf("without SCEP no form has that field: got %d", got.status)
	}
}

// TestKeylessInPieces: the bytes are those of one file, and none goes out without
// an entry.
func TestKeylessInPieces(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t, withExchange)
	anonymous := k.browser(linux)
	whole := anonymous.get(k.href)
	k.clock.Advance(5 * time.Minute)
	first, rest := anonymous.get(k.href, "Range", "bytes=0-999"), anonymous.get(k.href, "Range", "bytes=1000-", "If-Range", whole.header.Get("ETag"))
	if first.status != 206 || rest.status != 206 || !bytes.Equal(append(first.body, rest.body...), whole.body) {
		t.Errorf("pieces: got %d and %d", first.status, rest.status)
	}
	for name, header := range map[string][2]string{
		"same file": {"If-None-Match", whole.header.Get("ETag")}, "two pieces": {"Range", "bytes=0-9,20-29"}, "all of it": {"Range", "bytes=0-"},
	} {
		if got := anonymous.get(k.href, header[0], header[1]); got.status/100 != 2 || !bytes.Equal(got.body, whole.body) {
			t.Errorf("%s: got %d with %d bytes", name, got.status, len(got.body))
		}
	}
	if got := k.entries(audit.ChallengeRead); got != 6 {
		t.Errorf("ledger: got %d reads, want 6", got)
	}
}
