package web_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"certportal/internal/audit"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newRequest is a certificate request as OpenSSL writes it, with a template's
// wishes.
func newRequest(t testing.TB, key crypto.Signer, wishes ...x509.CertificateRequest) string {
	t.Helper()
	return inPEM("CERTIFICATE REQUEST", requestDER(t, key, wishes...))
}

func requestDER(t testing.TB, key crypto.Signer, wishes ...x509.CertificateRequest) []byte {
	t.Helper()
	var template x509.CertificateRequest
	if len(wishes) > 0 {
		template = wishes[0]
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func inPEM(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// bring posts a request for a new device.
func (b *browser) bring(name, platform, request string) answer {
	b.t.Helper()
	return b.post("/new/key", "name", name, "platform", platform, "csr", request, "request", "")
}

// brought gets a certificate for a key and returns the path of its device.
func (b *browser) brought(name, request string) string {
	b.t.Helper()
	got := b.bring(name, "linux", request)
	device, ok := strings.CutSuffix(got.location(), "/install")
	if got.status != 303 || !ok {
		b.t.Fatalf("csrOpen a key: got %d to %q: %s", got.status, got.location(), got.text())
	}
	return device
}

// leaf is the certificate that a device's page offers.
func (b *browser) leaf(device string) *x509.Certificate {
	b.t.Helper()
	got := b.get(device + "/certificate.cer")
	cert, err := x509.ParseCertificate(got.body)
	if err != nil {
		b.t.Fatalf("got %d: %v", got.status, err)
	}
	return cert
}

// field is the element of the form for a request that has the name.
func (a answer) field(name string) *html.Node {
	form := a.node(func(n *html.Node) bool { return n.Data == "form" && attr(n, "action") == "/new/key" })
	if form == nil {
		return nil
	}
	for n := range form.Descendants() {
		if n.Type == html.ElementNode && attr(n, "name") == name {
			return n
		}
	}
	return nil
}

// pasted is what the field for the request holds.
func (a answer) pasted() string {
	var b bytes.Buffer
	for n := range a.field("csr").Descendants() {
		b.WriteString(n.Data)
	}
	return b.String()
}

// lastEntry is the newest entry of the audit log.
func (p *testPortal) lastEntry() audit.Entry {
	p.t.Helper()
	all, err := p.db.Entries(p.t.Context(), 0, 10_000)
	if err != nil {
		p.t.Fatal(err)
	}
	return all[len(all)-1]
}
