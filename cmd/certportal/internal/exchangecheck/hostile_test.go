package exchangecheck_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"certportal/cmd/certportal/internal/exchangecheck"
	"certportal/internal/test/testkit"
)

// TestA18_HostileServers asks servers that want to stop, blind or fool the check. Each
// gets a verdict, and nothing of what they sent is printed as it came.
func TestA18_HostileServers(t *testing.T) {
	flood := func(conn net.Conn, head string) {
		io.WriteString(conn, head)
		chunk := []byte(strings.Repeat("x", 1<<16))
		for range 2 << 14 { // 2 GB, if they were read
			if _, err := conn.Write(chunk); err != nil {
				return
			}
		}
	}
	drip := func(conn net.Conn) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-t.Context().Done():
				return
			case <-tick.C:
				if _, err := io.WriteString(conn, "H"); err != nil {
					return
				}
			}
		}
	}
	tests := []struct {
		name  string
		serve func(net.Conn)
		want  string
	}{
		{"garbage", func(c net.Conn) { io.WriteString(c, "\x1b[2J\x00\xff\r\n\u202egnp.exe\r\n\r\n") }, "garbage"},
		{"silence", func(c net.Conn) { io.Copy(io.Discard, c) }, "silent"},
		{"a byte now and then", drip, "silent"},
		{"a head without end", func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\nX: ") }, "garbage"},
		{"2 GB of body", func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n") }, "no-activesync"},
		{"interim answers without end", func(c net.Conn) { io.WriteString(c, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000)) }, "garbage"},
		{"closes", func(net.Conn) {}, "cut"},
		{"control characters", answers("HTTP/1.1 401 \x1b[2J\r\nDate: \x1b]0;x\r\nWWW-Authenticate: \u202eBasic\x07 x\r\nContent-Length: 0\r\n\r\n", ""), "garbage"},
		{"hidden characters", answers(unauthorized, strings.Replace(welcome, "14.1", "\u202e14.1\u200b", 1)), ""},
		{"hidden characters in a refusal", answers("HTTP/1.1 401 x\r\nDate: NOW\r\nWWW-Authenticate: \u202eBasic x\r\nContent-Length: 0\r\n\r\n", welcome), ""},
		{"a header that breaks off", answers("HTTP/1.1 302 Found\r\nLocation: http://mail.example/?\x1b[2Jtoken=1\r\nContent-Length: 0\r\n\r\n", ""), "garbage"},
		{"redirect to itself", answers("HTTP/1.1 302 Found\r\nLocation: /Microsoft-Server-ActiveSync\r\nContent-Length: 0\r\n\r\n", ""), "redirect"},
		{"redirect to plain http", answers("HTTP/1.1 302 Found\r\nLocation: http://mail.example/?token=1\r\nContent-Length: 0\r\n\r\n", ""), "redirect-plain"},
		{"redirect to another host", answers("HTTP/1.1 307 x\r\nLocation: https://evil.example/\u202ex?token=1\r\nContent-Length: 0\r\n\r\n", ""), "redirect"},
		{"a redirect that is no address", answers("HTTP/1.1 302 Found\r\nLocation: ht!tp://%zz\r\nContent-Length: 0\r\n\r\n", ""), "redirect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.serve, nil)
			findings := s.check(client(t), func(c *exchangecheck.Config) {
				if tt.want == "silent" {
					c.Timeout = 500 * time.Millisecond
				}
			})
			wantDiagnosis(t, findings, tt.want)
			wantNothingOf(t, findings, "token=1")
		})
	}
}

// wantNothingOf requires that findings print neither a secret nor a hidden character.
func wantNothingOf(t *testing.T, findings []exchangecheck.Finding, secret string) {
	t.Helper()
	for _, f := range findings {
		text := f.Tried + f.Text + f.Mend
		if strings.Contains(text, secret) {
			t.Errorf("%s prints %q: %s", f.What, secret, text)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
			t.Errorf("%s prints hidden characters: %q", f.What, text)
		}
	}
}

// TestA16_CertificateGoesToTrustedServersOnly asks servers that phones do not trust, each
// for its own reason. The certificate is not even fetched.
func TestA16_CertificateGoesToTrustedServersOnly(t *testing.T) {
	lookalike, key := newRoot(t, "Mail root", time.Hour)
	stranger, strangersKey := newRoot(t, "Stranger", time.Hour)
	chain := func(n int) tls.Certificate {
		made := leafOf(t, stranger, strangersKey, nil)
		for range n - 2 {
			made.Certificate = append(made.Certificate, stranger.Raw)
		}
		return made
	}
	huge := func() tls.Certificate {
		// Only the size matters: nothing is signed with it before it is refused.
		der := hugeKey(t, stranger, strangersKey)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t)}
	}
	tests := []struct {
		name string
		cert func(s *site) tls.Certificate
		want string
	}{
		{"a root that phones lack", func(*site) tls.Certificate { return leafOf(t, stranger, strangersKey, nil) }, "untrusted"},
		{"an intermediate that is not sent", func(*site) tls.Certificate {
			made := leafOf(t, stranger, strangersKey, nil)
			made.Certificate = made.Certificate[:1]
			return made
		}, "untrusted"},
		{"a look-alike of the anchor", func(*site) tls.Certificate { return leafOf(t, lookalike, key, nil) }, "other-key"},
		{"50 certificates", func(*site) tls.Certificate { return chain(50) }, "long-chain"},
		{"RSA with 16384 bits", func(*site) tls.Certificate { return huge() }, "handshake"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, answers(welcome, welcome), nil)
			s.tls.Certificates = []tls.Certificate{tt.cert(s)}
			findings := s.check(nil, func(c *exchangecheck.Config) {
				c.Client = func(context.Context) (*exchangecheck.Client, error) {
					t.Error("a certificate was asked for")
					return nil, io.EOF
				}
			})
			var trust []exchangecheck.Finding
			for _, f := range findings {
				if f.What != "ActiveSync without a certificate" { // it lets all in, which is not the point
					trust = append(trust, f)
				}
			}
			wantDiagnosis(t, trust, tt.want)
			testkit.Equal(t, "certificates that came", s.accepted.Load(), 0)
		})
	}
}

// hugeKey is a certificate with a key of 16384 bits that no party has.
func hugeKey(t *testing.T, root *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	modulus := new(big.Int).Lsh(big.NewInt(1), 16383)
	modulus.SetBit(modulus, 0, 1)
	template := &x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	return testkit.Must(x509.CreateCertificate(rand.Reader, template, root, &rsa.PublicKey{N: modulus, E: 65537}, key))(t)
}
