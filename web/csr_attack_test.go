package web_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web"
)

// sidOfAnna is given to her by the directory of these tests.
const sidOfAnna = "S-1-5-21-1004336348-1177238915-682003330-1101"

// tlv is one DER element around others.
func tlv(tag der.Tag, parts ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(parts, nil)) })
	return b.BytesOrPanic()
}

func oid(t *testing.T, dotted string) []byte {
	t.Helper()
	raw, err := asn1.Marshal(oidOf(dotted))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func oidOf(dotted string) (id asn1.ObjectIdentifier) {
	for part := range strings.SplitSeq(dotted, ".") {
		var n int
		_, _ = fmt.Sscan(part, &n)
		id = append(id, n)
	}
	return id
}

// asks is a request with one extension.
func asks(id string, critical bool, value []byte) x509.CertificateRequest {
	return x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: oidOf(id), Critical: critical, Value: value}}}
}

// hostileRequests ask for another identity than Anna's, or for more than a person may
// have (ESC1, ESC6, ESC15, CVE-2022-34831).
func hostileRequests(t *testing.T) map[string]x509.CertificateRequest {
	t.Helper()
	explicit := der.Tag(0).ContextSpecific().Constructed()
	upn := func(id string) []byte {
		return tlv(der.SEQUENCE, tlv(explicit, oid(t, id), tlv(explicit, tlv(der.UTF8String, []byte("administrator@example.com")))))
	}
	usages := func(ids ...string) []byte {
		var all [][]byte
		for _, id := range ids {
			all = append(all, oid(t, id))
		}
		return tlv(der.SEQUENCE, all...)
	}
	san := "2.5.29.17"
	return map[string]x509.CertificateRequest{
		"subject":      {Subject: pkix.Name{CommonName: "administrator@example.com", Organization: []string{"Domain Admins"}}},
		"UPN":          asks(san, false, upn("1.3.6.1.4.1.311.20.2.3")),
		"mail":         {EmailAddresses: []string{"administrator@example.com"}},
		"DNS name":     {DNSNames: []string{"dc1.example.com"}},
		"SID":          asks("1.3.6.1.4.1.311.25.2", false, tlv(der.SEQUENCE, tlv(explicit, oid(t, "1.3.6.1.4.1.311.25.2.1"), tlv(explicit, tlv(der.OCTET_STRING, []byte("S-1-5-21-1004336348-1177238915-682003330-500")))))),
		"SID as URI":   {URIs: []*url.URL{{Scheme: "tag", Opaque: "microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500"}}},
		"any usage":    asks("2.5.29.37", false, usages("2.5.29.37.0")),
		"smart card":   asks("2.5.29.37", true, usages("1.3.6.1.4.1.311.20.2.2", "1.3.6.1.5.2.3.4", "1.3.6.1.5.5.7.3.1")),
		"agent":        asks("2.5.29.37", false, usages("1.3.6.1.4.1.311.20.2.1")),
		"CA":           asks("2.5.29.19", true, tlv(der.SEQUENCE, tlv(der.BOOLEAN, []byte{0xff}))),
		"signs":        asks("2.5.29.15", true, []byte{3, 2, 1, 6}),
		"policy":       asks("2.5.29.32", false, tlv(der.SEQUENCE, tlv(der.SEQUENCE, oid(t, "2.5.29.32.0")))),
		"app policy":   asks("1.3.6.1.4.1.311.21.10", false, tlv(der.SEQUENCE, tlv(der.SEQUENCE, oid(t, "1.3.6.1.5.5.7.3.2")))),
		"template":     asks("1.3.6.1.4.1.311.21.7", false, tlv(der.SEQUENCE, oid(t, "1.3.6.1.4.1.311.21.8.1.2.3"), tlv(der.INTEGER, []byte{100}))),
		"old template": asks("1.3.6.1.4.1.311.20.2", false, tlv(der.Tag(30), []byte("\x00D\x00C"))),
		"no such name": asks("1.2.3.4.5", true, []byte{5, 0}),
	}
}

// golden is all of a certificate that does not follow from its key and serial.
func golden(cert *x509.Certificate) string {
	var b strings.Builder
	fmt.Fprintln(&b, cert.Subject, cert.NotAfter.Sub(cert.NotBefore))
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidOf("2.5.29.14")) { // subject key identifier
			continue
		}
		fmt.Fprintf(&b, "%s %t %x\n", e.Id, e.Critical, e.Value)
	}
	return b.String()
}

// TestA1_HostileRequests: the attributes and extensions of a request do not change the
// certificate.
func TestA1_HostileRequests(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.directory.set(nil, func(person *portal.Person) { person.SID = sidOfAnna })
	b := p.signedIn("anna", linux)
	device := b.brought("plain", newRequest(t, newKey(t)))
	plain := b.leaf(device)
	if !bytes.Contains(plain.RawTBSCertificate, []byte(sidOfAnna)) || plain.Subject.String() != "CN=anna@example.com" {
		t.Fatal("the certificate does not name anna")
	}
	b.post(device + "/remove")
	for name, wishes := range hostileRequests(t) {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			device := b.brought(name, newRequest(t, key, wishes))
			got := b.leaf(device)
			if golden(got) != golden(plain) || !key.PublicKey.Equal(got.PublicKey) {
				t.Errorf("got\n%swant\n%s", golden(got), golden(plain))
			}
			if bytes.Contains(got.Raw, []byte("administrator")) {
				t.Error("the certificate names somebody else")
			}
			b.post(device + "/remove")
		})
	}
}

// made is a key that could be made.
func made[K crypto.Signer](t *testing.T) func(K, error) K {
	return func(key K, err error) K {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
}

// refused is a text that gets no certificate.
type refused struct{ name, request, reason, words string }

// refusedRequests are weak keys, keys of others, and texts that are not one whole
// request.
func refusedRequests(t *testing.T, p *testPortal) []refused {
	t.Helper()
	whole := newRequest(t, newKey(t))
	forged := requestDER(t, newKey(t))
	forged[len(forged)-1] ^= 1
	used, gone, ben := newKey(t), newKey(t), p.signedIn("ben", linux)
	ben.brought("Ben's", newRequest(t, used))
	ben.post(ben.brought("Gone", newRequest(t, gone)) + "/remove")
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	return []refused{
		{"empty", " \r\n", enroll.RequestEmpty, "Paste your request"},
		{"long", whole + strings.Repeat("\n", 10) + strings.Repeat("x", enroll.MaxRequest), enroll.RequestLong, "too long"},
		{"prose", "please sign my key", enroll.RequestForm, "not one whole request"},
		{"half", whole[:len(whole)/2], enroll.RequestForm, "not one whole request"},
		{"two", whole + whole, enroll.RequestForm, "not one whole request"},
		{"text before, within the line", "Here it is: " + whole, enroll.RequestForm, "not one whole request"},
		{"text behind", whole + "Regards", enroll.RequestForm, "not one whole request"},
		{"a broken one before", "-----BEGIN CERTIFICATE REQUEST-----\n!\n" + whole, enroll.RequestForm, "not one whole request"},
		{"headers", strings.Replace(whole, "REQUEST-----\n", "REQUEST-----\nProc-Type: 4,ENCRYPTED\n\n", 1), enroll.RequestForm, "not one whole request"},
		{"certificate", inPEM("CERTIFICATE", p.root.Raw), enroll.RequestForm, "not one whole request"},
		{"certificate under the label", inPEM("CERTIFICATE REQUEST", p.root.Raw), enroll.RequestForm, "not one whole request"},
		{"bytes behind", inPEM("CERTIFICATE REQUEST", append(requestDER(t, newKey(t)), 0)), enroll.RequestForm, "not one whole request"},
		{"no label", base64.StdEncoding.EncodeToString(requestDER(t, newKey(t))), enroll.RequestForm, "not one whole request"},
		{"forged", inPEM("CERTIFICATE REQUEST", forged), enroll.RequestProof, "signature does not fit"},
		{"SHA-1", withSHA1(t), enroll.RequestAlgorithm, "outdated way"},
		{"RSA 1024", newRequest(t, made[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))), portal.KeyRefused, "too weak"},
		{"exponent 3", newRequest(t, withExponent3(t)), portal.KeyRefused, "too weak"},
		{"close primes", newRequest(t, withClosePrimes(t)), portal.KeyRefused, "too weak"},
		{"ROCA", ofROCA(t), portal.KeyRefused, "too weak"},
		{"P-224", newRequest(t, made[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))), portal.KeyRefused, "too weak"},
		{"P-521", newRequest(t, made[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))), portal.KeyRefused, "too weak"},
		{"Ed25519", newRequest(t, made[ed25519.PrivateKey](t)(ed, err)), portal.KeyRefused, "too weak"},
		{"key of somebody else", newRequest(t, used), portal.KeyReused, "has, or had, a certificate"},
		{"key of a revoked one", newRequest(t, gone), portal.KeyReused, "has, or had, a certificate"},
	}
}

// TestA1_RequestsRefused: refused requests use no serial. Each refusal has its
// sentence, keeps the pasted text, and writes an audit entry.
func TestA1_RequestsRefused(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	tests := refusedRequests(t, p)
	reserved := p.entries(audit.CertificateReserved)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := p.entries(audit.EnrolmentRefused)
			got := b.post("/new/key", "name", "Server", "platform", "linux", "csr", tt.request, "request", "same")
			if got.status != 422 || got.id("csr-error") == nil || !strings.Contains(nodeText(got.id("csr-error")), tt.words) {
				t.Fatalf("got %d, want %q: %s", got.status, tt.words, got.text())
			}
			if got.pasted() != strings.ReplaceAll(tt.request, "\r\n", "\n") || attr(got.field("name"), "value") != "Server" || attr(got.field("request"), "value") != "same" {
				t.Error("what was typed is not kept")
			}
			last := p.lastEntry()
			if p.entries(audit.EnrolmentRefused) != before+1 || last.Detail["reason"] != tt.reason || last.Actor != "id-of-anna" {
				t.Errorf("ledger: got %s %v by %q, want a refusal for %q", last.Action, last.Detail, last.Actor, tt.reason)
			}
		})
	}
	if got := p.entries(audit.CertificateReserved); got != reserved {
		t.Errorf("got %d serials, want %d", got, reserved)
	}
	for _, lang := range []string{"de", "zh-Hans"} {
		b.get("/new?lang=" + lang)
		for _, tt := range tests {
			got := b.bring("Server", "linux", tt.request)
			if words := nodeText(got.id("csr-error")); words == "" || strings.Contains(words, tt.words) || strings.Contains(words, "bring.") {
				t.Errorf("%s: %s: %q", lang, tt.name, words)
			}
		}
	}
}

// TestA16_PastedPrivateKey: a person who pastes a private key gets a warning, and the
// key is stored nowhere.
func TestA16_PastedPrivateKey(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	raw, err := x509.MarshalPKCS8PrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	request := newRequest(t, newKey(t))
	for label, text := range map[string]string{
		"alone": inPEM("PRIVATE KEY", raw), "behind a request": request + inPEM("EC PRIVATE KEY", raw),
		"encrypted": "\ufeff " + inPEM("ENCRYPTED PRIVATE KEY", raw), "long": strings.Repeat(inPEM("RSA PRIVATE KEY", raw), 80),
	} {
		t.Run(label, func(t *testing.T) {
			got := b.bring("Server", "linux", text)
			if got.status != 422 || !strings.Contains(got.text(), "This is a private key") || p.lastEntry().Detail["reason"] != enroll.RequestSecret {
				t.Fatalf("got %d: %s", got.status, got.text())
			}
			secret := strings.Split(inPEM("PRIVATE KEY", raw), "\n")[1]
			places := map[string]string{"page": string(got.body), "log": p.log.String()}
			for _, suffix := range []string{"", "-wal"} {
				data, err := os.ReadFile(p.file + suffix)
				if err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
				places["database"+suffix] = string(data)
			}
			for place, content := range places {
				if strings.Contains(content, secret) {
					t.Errorf("the %s holds the private key", place)
				}
			}
		})
	}
}

// TestBringKeyAsCopied takes what editors, mail programs and Windows make of a
// request.
func TestBringKeyAsCopied(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	for name, change := range map[string]func(string) string{
		"CRLF":      func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"mark":      func(s string) string { return "\ufeff" + s },
		"blanks":    func(s string) string { return " \t\r\n\u00a0" + s + "\r\n  \n" },
		"all":       func(s string) string { return "\n \ufeff\n" + strings.ReplaceAll(s, "\n", "\r\n") + " " },
		"no end":    strings.TrimSpace,
		"old label": func(s string) string { return strings.ReplaceAll(s, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST") },
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			device := b.brought(name, change(newRequest(t, key)))
			if !key.PublicKey.Equal(b.leaf(device).PublicKey) {
				t.Error("a certificate for another key")
			}
			b.post(device + "/remove")
		})
	}
	// Every kind of key that is certified.
	device := b.brought("RSA", newRequest(t, made[*rsa.PrivateKey](t)(phoneKeys[1]()), x509.CertificateRequest{SignatureAlgorithm: x509.SHA256WithRSAPSS}))
	if got := b.leaf(device).KeyUsage; got != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment {
		t.Errorf("RSA: key usage %b", got)
	}
}

// TestA9_PhoneBringsOneKey: a phone's session gets one certificate, from either form
// first, and from both at once.
func TestA9_PhoneBringsOneKey(t *testing.T) {
	t.Parallel()
	sessions := &firstTogether{}
	p := newPortal(t, func(c *web.Config) {
		sessions.Store = c.Store
		c.Store = sessions
	})
	desktop := p.signedIn("anna", linux)
	phone := p.newHandoffPhone(desktop)
	bodies := make([]string, 8)
	for i := range bodies {
		bodies[i] = fmt.Sprintf("name=Phone%d&platform=android&request=form%d", i, i)
		if i%2 == 1 {
			bodies[i] += "&csr=" + url.QueryEscape(newRequest(t, newKey(t)))
		}
	}
	results := make(chan answer, len(bodies))
	sessions.all.Add(len(bodies))
	sessions.left.Store(int32(len(bodies)))
	for i, body := range bodies {
		go func() {
			got, err := phone.try(http.MethodPost, []string{"/new", "/new/key"}[i%2], strings.NewReader(body),
				"Content-Type", "application/x-www-form-urlencoded", "Origin", p.https.URL)
			if err != nil {
				t.Error(err)
			}
			results <- got
		}()
	}
	places := map[string]bool{}
	for range bodies {
		got := <-results
		if got.status != 303 {
			t.Errorf("got %d: %s", got.status, got.text())
		}
		places[got.location()] = true
	}
	if got := p.entries(audit.CertificateReserved); len(places) != 1 || got != 1 {
		t.Errorf("eight at once: got %v and %d serials, want one", places, got)
	}
}

// TestA9_BroughtOnThePhone: the session is spent after one key.
func TestA9_BroughtOnThePhone(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop := p.signedIn("anna", linux)
	other := desktop.brought("Server", newRequest(t, newKey(t)))
	phone := p.newHandoffPhone(desktop)
	device := phone.brought("Phone", newRequest(t, newKey(t)))
	for _, path := range []string{"/new", "/new/key"} {
		if got := phone.get(path); got.status != 303 || got.location() != device+"/install" {
			t.Errorf("GET %s: got %d to %q", path, got.status, got.location())
		}
	}
	for range 2 {
		if got := phone.bring("Second", "android", newRequest(t, newKey(t))); got.location() != device+"/install" {
			t.Errorf("second key: got %d to %q", got.status, got.location())
		}
	}
	if got := phone.post("/new", "name", "Second", "platform", "ios"); got.location() != device+"/install" {
		t.Errorf("second certificate: got %d to %q", got.status, got.location())
	}
	for _, file := range []string{"/certificate.cer", "/certificate.pem", "/install"} {
		if got := phone.get(device + file); got.status != 200 {
			t.Errorf("own %s: got %d", file, got.status)
		}
		if got := phone.get(other + file); got.status != 403 {
			t.Errorf("other's %s: got %d, want 403", file, got.status)
		}
	}
	if got := p.entries(audit.CertificateReserved); got != 2 {
		t.Errorf("got %d serials, want 2", got)
	}
}

// TestA18_BroughtNames: names of devices break out of no header, page or command.
func TestA18_BroughtNames(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	for _, name := range []string{
		`a"; filename="x.exe`, "../../etc/passwd", "a\r\nX-Injected: 1", "a\u202egnp.exe", "$(id)", "-x", "con", "</textarea><script>alert(1)</script>", "'; rm -rf ~; '",
	} {
		device := b.brought(name, newRequest(t, newKey(t)))
		for _, ext := range []string{"cer", "pem"} {
			h := b.get(device + "/certificate." + ext).header
			disposition := h.Get("Content-Disposition")
			if strings.Count(disposition, `"`) != 2 || strings.ContainsAny(disposition, "\r\n/\\<>") || h.Get("X-Injected") != "" || !strings.HasSuffix(disposition, "."+ext) {
				t.Errorf("%q: Content-Disposition %q", name, disposition)
			}
		}
		page := b.get(device + "/install")
		if bad := page.node(hostile); bad != nil {
			t.Errorf("%q: page carries <%s>", name, bad.Data)
		}
		if got := b.bring(name, "linux", "</textarea><script>alert(1)</script>"); got.node(hostile) != nil || got.pasted() != "</textarea><script>alert(1)</script>" {
			t.Errorf("%q: the form carries what was pasted as markup", name)
		}
		b.post(device + "/remove")
	}
}
