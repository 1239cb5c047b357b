package exchangecheck_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/exchangecheck"
	"certportal/internal/test/testkit"
)

// site is a server of the tests that speaks TLS, and after it what a test wants.
type site struct {
	t        *testing.T
	url      string
	tls      *tls.Config
	anchor   *x509.Certificate
	accepted atomic.Int32 // client certificates that came
}

// newSite serves connections after the handshake; change alters the settings of TLS.
func newSite(t *testing.T, serve func(net.Conn), change func(*tls.Config)) *site {
	t.Helper()
	s := &site{t: t}
	root, key := newRoot(t, "Mail root", time.Hour)
	s.anchor = root
	s.tls = &tls.Config{Certificates: []tls.Certificate{leafOf(t, root, key, nil)}, ClientAuth: tls.RequestClientCert}
	if change != nil {
		change(s.tls)
	}
	l := testkit.Must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	s.url = "https://" + l.Addr().String()
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				conn := tls.Server(raw, s.tls)
				defer conn.Close()
				if conn.HandshakeContext(t.Context()) != nil {
					return
				}
				if len(conn.ConnectionState().PeerCertificates) > 0 {
					s.accepted.Add(1)
				}
				serve(conn)
			}()
		}
	}()
	return s
}

func newRoot(t *testing.T, name string, life time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-life), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return testkit.Must(x509.ParseCertificate(der))(t), key
}

// leafOf makes a server certificate for 127.0.0.1.
func leafOf(t *testing.T, root *x509.Certificate, key *ecdsa.PrivateKey, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	own := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(60 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, root, own.Public(), key))(t)
	return tls.Certificate{Certificate: [][]byte{der, root.Raw}, PrivateKey: own}
}

// client is a certificate to sign in with, of a CA of its own.
func client(t *testing.T) *tls.Certificate {
	t.Helper()
	root, key := newRoot(t, "Phones", time.Hour)
	made := leafOf(t, root, key, func(c *x509.Certificate) {
		c.IPAddresses, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	return &made
}

func (s *site) check(with *tls.Certificate, change func(*exchangecheck.Config)) []exchangecheck.Finding {
	s.t.Helper()
	c := exchangecheck.Config{
		Host:    testkit.Must(exchangecheck.ParseURL(s.url))(s.t),
		Anchors: []exchangecheck.Anchor{{Name: "the mail root", Certificate: s.anchor}}, System: x509.NewCertPool(), Without: "none",
	}
	if with != nil {
		c.Client = func(context.Context) (*exchangecheck.Client, error) {
			return &exchangecheck.Client{Certificate: *with, About: "a certificate"}, nil
		}
	}
	if change != nil {
		change(&c)
	}
	return exchangecheck.Check(s.t.Context(), c)
}

// answers serves one answer to each request: with for clients that showed a certificate,
// without for the others.
func answers(without, with string) func(net.Conn) {
	return func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		text := without
		if len(conn.(*tls.Conn).ConnectionState().PeerCertificates) > 0 {
			text = with
		}
		if strings.HasPrefix(strings.ToLower(req.URL.Path), "/autodiscover") {
			text = unauthorized
		}
		io.WriteString(conn, strings.ReplaceAll(text, "NOW", time.Now().UTC().Format(http.TimeFormat)))
	}
}

// page is an error page of IIS with its details.
func page(status int, sub, code string) string {
	body := fmt.Sprintf("<html><head><title>IIS 10.0 Detailed Error - %d.%s - Error</title></head><body><h3>HTTP Error %d.%s - Error</h3><tr><th>Error Code</th><td>&nbsp;&nbsp;&nbsp;%s</td></tr></body></html>", status, sub, status, sub, code)
	return fmt.Sprintf("HTTP/1.1 %d Error\r\nDate: NOW\r\nServer: Microsoft-IIS/10.0\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

const (
	unauthorized = "HTTP/1.1 401 Unauthorized\r\nDate: NOW\r\nWWW-Authenticate: Basic realm=\"mail\"\r\nContent-Length: 0\r\n\r\n"
	forbidden    = "HTTP/1.1 403 Forbidden\r\nDate: NOW\r\nContent-Length: 0\r\n\r\n"
	welcome      = "HTTP/1.1 200 OK\r\nDate: NOW\r\nMS-Server-ActiveSync: 15.2\r\nMS-ASProtocolVersions: 14.1,16.1\r\nContent-Length: 0\r\n\r\n"
)
