package app

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/test/testkit"
)

// knock opens the check page with a certificate and gives the response, or the error of the
// handshake. asked gets what the server asked for.
func knock(t *testing.T, p *App, asked **tls.CertificateRequestInfo, show *tls.Certificate) (string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // this test is about the other side
		GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if asked != nil {
				*asked = info
			}
			return show, nil
		},
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("https://" + p.checkPort.Addr().String() + "/test")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// garbler signs with nonsense.
type garbler struct{ crypto.PublicKey }

func (g garbler) Public() crypto.PublicKey { return g.PublicKey }

func (g garbler) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 2048), nil
}

// TestCheckPageAsks: the listener names this portal's CAs, so that a browser offers fitting
// certificates only, requires none, and outlives certificates that TLS itself refuses.
func TestCheckPageAsks(t *testing.T) {
	p := serving(t, t.TempDir())
	if p.Public.Check == nil || p.Public.Check.Port() == p.Public.HTTPS.Port() {
		t.Fatalf("the check page is at %v", p.Public.Check)
	}
	var asked *tls.CertificateRequestInfo
	page, err := knock(t, p, &asked, &tls.Certificate{})
	if err != nil || !strings.Contains(page, `data-verdict="none"`) {
		t.Fatalf("without a certificate: %v\n%s", err, page)
	}
	for _, of := range []*x509.Certificate{p.CA.Folder.Root(), p.CA.Folder.Issuing()} {
		if !slices.ContainsFunc(asked.AcceptableCAs, func(name []byte) bool { return bytes.Equal(name, of.RawSubject) }) {
			t.Errorf("the browser is not told of %s", of.Subject)
		}
	}

	key := testkit.Must(ca.ECP256.Generate())(t)
	small := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: testkit.Noon, NotAfter: testkit.Noon.AddDate(1, 0, 0)}
	large := &rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 16384), big.NewInt(1)), E: 65537}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, small, small, large, key))(t)
	curve := testkit.Must(x509.CreateCertificate(rand.Reader, small, small, key.Public(), key))(t)
	// The identifier of P-256 becomes that of prime239v3 (RFC 3279 section 2.3.5).
	curve = bytes.Replace(curve, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 6}, 1)
	for name, show := range map[string]*tls.Certificate{
		"RSA of 16384 bits": {Certificate: [][]byte{der}, PrivateKey: garbler{large}},
		"odd curve":         {Certificate: [][]byte{curve}, PrivateKey: key},
		"no certificate":    {Certificate: [][]byte{[]byte("nonsense")}, PrivateKey: key},
		"another's":         {Certificate: [][]byte{p.CA.Folder.Issuing().Raw}, PrivateKey: garbler{key.Public().(*ecdsa.PublicKey)}},
	} {
		if page, err := knock(t, p, nil, show); err == nil {
			t.Errorf("%s was taken:\n%s", name, page)
		}
	}
	if page, err := knock(t, p, nil, &tls.Certificate{}); err != nil || !strings.Contains(page, `data-verdict="none"`) {
		t.Errorf("afterwards: %v\n%s", err, page)
	}
}

// TestCheckPortTaken: without its default port the portal runs without a check page; a
// chosen port that is taken is a mistake.
func TestCheckPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", config.DefaultCheck)
	if err == nil { // else another program has it, which is as good
		defer taken.Close()
	}
	p := &App{Settings: &config.Settings{ListenCheck: config.DefaultCheck}, log: slog.New(slog.DiscardHandler)}
	if err := p.listenCheck(t.Context()); err != nil || p.checkAddress() != nil || p.checkServer() != nil {
		t.Errorf("the default port is taken: %v, %v", err, p.checkAddress())
	}
	chosen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer chosen.Close()
	p.Settings.ListenCheck = chosen.Addr().String()
	if err := p.listenCheck(t.Context()); err == nil || !strings.Contains(err.Error(), "listen_check") {
		t.Errorf("a chosen port is taken: %v", err)
	}
}
