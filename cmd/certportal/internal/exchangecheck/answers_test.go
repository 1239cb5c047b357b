package exchangecheck_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/exchangecheck"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// TestMeaningOfAnswers has IIS answer everything it can to the certificate.
func TestMeaningOfAnswers(t *testing.T) {
	answer := func(head string) string { return head + "\r\nDate: NOW\r\nContent-Length: 0\r\n\r\n" }
	tests := []struct {
		name, with, want string
	}{
		{"works", welcome, ""},
		{"501, of a server that knows no OPTIONS", page(501, "0", "0x80070000"), ""},
		{"401 with a certificate", unauthorized, "not-mapped"},
		{"401.2", page(401, "2", "0x80070005"), "not-mapped"},
		{"403.7", page(403, "7", "0x80070005"), "no-certificate"},
		{"403.13", page(403, "13", "0x80092013"), "revoked"},
		{"403.16", page(403, "16", "0x800b0109"), "chain"},
		{"403.17", page(403, "17", "0x800b0101"), "validity"},
		{"403 without details", forbidden, "forbidden"},
		{"403 by a server whose clock is wrong", strings.Replace(forbidden, "NOW", "Mon, 02 Jan 2006 15:04:05 GMT", 1), "validity"},
		{"403 with two sub-statuses", page(403, "16", "") + page(403, "13", ""), "chain"}, // the second is behind the length
		{"500.0 of Windows Server 2025", page(500, "0", "0x80070032"), "late-under-tls13"},
		{"500", page(500, "0", "0x8007000d"), "server-error"},
		{"503", answer("HTTP/1.1 503 Service Unavailable"), "down"},
		{"404", answer("HTTP/1.1 404 Not Found"), "no-activesync"},
		{"another web server", answer("HTTP/1.1 200 OK"), "no-activesync"},
		{"another mailbox server", answer("HTTP/1.1 451 x\r\nX-MS-Location: https://mail2.example/Microsoft-Server-ActiveSync?secret=1"), "other-server"},
		{"418", answer("HTTP/1.1 418 Teapot"), "odd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings := newSite(t, answers(forbidden, tt.with), nil).check(client(t), nil)
			wantDiagnosis(t, findings, tt.want)
			wantNothingOf(t, findings, "secret=1")
		})
	}
}

// TestMeaningOfAnswersWithoutACertificate says what a client without one is answered.
func TestMeaningOfAnswersWithoutACertificate(t *testing.T) {
	tests := []struct {
		name, without string
		clientAuth    tls.ClientAuthType
		versions      [2]uint16
		want          string
	}{
		{"required", forbidden, tls.RequestClientCert, [2]uint16{}, ""},
		{"pilot", unauthorized, tls.RequestClientCert, [2]uint16{}, ""},
		{"open to all", welcome, tls.RequestClientCert, [2]uint16{}, "open"},
		{"passwords only", unauthorized, tls.NoClientCert, [2]uint16{}, "not-asked"},
		{"503", strings.Replace(forbidden, "403", "503", 1), tls.NoClientCert, [2]uint16{}, "down"},
		{"TLS 1.3 only, 2025", page(500, "0", "0x80070032"), tls.NoClientCert, [2]uint16{tls.VersionTLS13, tls.VersionTLS13}, "late-under-tls13"},
		{"TLS 1.3 only, 2022", "", tls.NoClientCert, [2]uint16{tls.VersionTLS13, tls.VersionTLS13}, "late-under-tls13"},
		{"TLS 1.1 only", welcome, tls.NoClientCert, [2]uint16{tls.VersionTLS10, tls.VersionTLS11}, "tls-old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, answers(tt.without, welcome), func(c *tls.Config) {
				c.ClientAuth, c.MinVersion, c.MaxVersion = tt.clientAuth, tt.versions[0], tt.versions[1]
			})
			wantDiagnosis(t, s.check(nil, nil), tt.want)
		})
	}
}

// TestServerCertificates judges certificates that phones refuse for what they say.
func TestServerCertificates(t *testing.T) {
	days := func(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
	tests := []struct {
		name   string
		change func(*x509.Certificate)
		want   string
	}{
		{"right", nil, ""},
		{"another name", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }, "other-name"},
		{"a common name alone", func(c *x509.Certificate) { c.IPAddresses = nil }, "other-name"},
		{"ended", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "ended"},
		{"not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, "not-yet-valid"},
		{"ends soon", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(days(10)) }, "ends-soon"},
		{"too long for iPhones", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-days(800)) }, "valid-too-long"},
		{"for clients", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "unfit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, key := newRoot(t, "Mail root", days(900))
			s := newSite(t, answers(forbidden, welcome), nil)
			s.anchor, s.tls.Certificates = root, []tls.Certificate{leafOf(t, root, key, tt.change)}
			wantDiagnosis(t, s.check(nil, nil), tt.want)
		})
	}
}

// TestClocks compares the clock of the server.
func TestClocks(t *testing.T) {
	for want, apart := range map[string]time.Duration{"": 5 * time.Second, "clock-apart": -2 * time.Minute, "clock-apart ": 10 * time.Minute} {
		date := time.Now().Add(apart).UTC().Format(http.TimeFormat)
		s := newSite(t, answers(strings.Replace(forbidden, "NOW", date, 1), welcome), nil)
		findings := s.check(nil, nil)
		wantDiagnosis(t, findings, strings.TrimSpace(want))
		if last := findings[len(findings)-1]; apart > 5*time.Minute && last.State != portal.FindingFailed {
			t.Errorf("%v apart is %s", apart, last.State)
		}
	}
}

// TestAutodiscover reads where phones are led, without a certificate.
func TestAutodiscover(t *testing.T) {
	answer := func(url string) string {
		body := `<Autodiscover><Response><Action><Settings><Server><Type>MobileSync</Type><Url>` + url + `</Url></Server></Settings></Action></Response></Autodiscover>`
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nDate: NOW\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	tests := []struct{ name, answer, code, want string }{
		{"password", unauthorized, "autodiscover-password", ""},
		{"leads here", answer("https://127.0.0.1/Microsoft-Server-ActiveSync"), "autodiscover", ""},
		{"leads elsewhere", answer("https://evil.example/?secret=1"), "autodiscover-elsewhere", "autodiscover-elsewhere"},
		{"redirects", "HTTP/1.1 302 x\r\nLocation: https://evil.example/?secret=1\r\nContent-Length: 0\r\n\r\n", "autodiscover-redirect", "autodiscover-redirect"},
		{"not there", strings.Replace(forbidden, "403", "404", 1), "autodiscover-none", ""},
		{"a bomb", answer("&a;" + strings.Repeat("<x>", 9000)), "autodiscover-open", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var shown atomic.Bool
			s := newSite(t, func(conn net.Conn) {
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				text := forbidden
				if strings.HasPrefix(req.URL.Path, "/Autodiscover") {
					text = tt.answer
					shown.Store(len(conn.(*tls.Conn).ConnectionState().PeerCertificates) > 0)
				} else if len(conn.(*tls.Conn).ConnectionState().PeerCertificates) > 0 {
					text = welcome
				}
				io.WriteString(conn, strings.ReplaceAll(text, "NOW", time.Now().UTC().Format(http.TimeFormat)))
			}, nil)
			findings := s.check(client(t), nil)
			wantDiagnosis(t, findings, tt.want)
			wantNothingOf(t, findings, "secret=1")
			if !has(findings, tt.code) || shown.Load() {
				t.Errorf("no finding %q, or the certificate was shown (%v): %+v", tt.code, shown.Load(), findings)
			}
		})
	}
}

// TestUnreachable names what keeps the check from the server.
func TestUnreachable(t *testing.T) {
	plain := testkit.Must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	defer plain.Close()
	go func() {
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "220 mail.example ESMTP\r\n")
			conn.Close()
		}
	}()
	closed := testkit.Must(daemon.FreeAddress())(t)
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	unknown := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}
	}
	tests := []struct {
		name, host, want string
		dial             func(context.Context, string, string) (net.Conn, error)
	}{
		{"plain text", plain.Addr().String(), "no-tls", nil},
		{"nothing listens", closed, "refused", nil},
		{"no answer", "127.0.0.1", "silent", hang},
		{"no such name", "mail.invalid", "no-such-name", unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings := exchangecheck.Check(t.Context(), exchangecheck.Config{
				Host: tt.host, System: x509.NewCertPool(), Dial: tt.dial, Timeout: 500 * time.Millisecond,
			})
			wantDiagnosis(t, findings, tt.want)
		})
	}
}

func TestParseURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://mail.example.com": "mail.example.com", "mail.example.com": "mail.example.com", "https://mail.example.com:8443/": "mail.example.com:8443",
		"https://mail.example.com/Microsoft-Server-ActiveSync/": "mail.example.com",
	} {
		got, err := exchangecheck.ParseURL(address)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", address, got, err, want)
		}
	}
	for _, address := range []string{"http://mail.example.com", "https://", "https://anna:secret@mail.example.com", "https://mail/owa", "https://mail/?x=1", "ftp://x", "https://a b"} {
		if got, err := exchangecheck.ParseURL(address); err == nil {
			t.Errorf("%s: %q, want an error", address, got)
		}
	}
}
