// Package exchangecheck asks an Exchange front end as a phone does, and explains each
// answer: TLS and the certificate of the server, whether and when it asks for a client
// certificate, OPTIONS of ActiveSync without and with one, Autodiscover, and the clock.
//
// A client certificate is sent to the host of the URL only, and only when that host's own
// certificate is one that phones trust. Redirects are not followed. Every answer is bounded
// in size and time, and nothing of it is printed unescaped.
//
// TLS 1.2 and TLS 1.3 are asked separately. IIS asks for a certificate after the request
// when only a folder needs one: TLS 1.2 renegotiates for that, and Go answers; under
// TLS 1.3 it would be post-handshake authentication (RFC 8446 section 4.6.2), which
// neither phones nor Go offer.
package exchangecheck

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"certportal/internal/portal"
)

// Finding is the result of one step. Code is stable, for scripts: add, do not rename.
type Finding struct {
	Code  string
	What  string // the step
	State portal.FindingState
	Tried string // what was asked
	Text  string // what came, and what it means
	Mend  string // what to do; empty when there is nothing
}

// Anchor is a CA certificate that the portal gives to phones.
type Anchor struct {
	Name        string // as the operator knows it
	Certificate *x509.Certificate
}

// Client is the certificate that plays the phone's.
type Client struct {
	Certificate tls.Certificate
	About       string // whose it is, for the operator
}

// Config says what to ask. Fields are required unless they say otherwise.
type Config struct {
	Host string // name or address, with ":port" when it is not 443; see [ParseURL]

	// Anchors are the CA certificates that phones get from the portal. The roots of this
	// machine stand for those that phones bring. System is for tests.
	Anchors []Anchor
	System  *x509.CertPool // default x509.SystemCertPool

	// Client gives the certificate to sign in with. It is called once at most, and only
	// when the server is trusted and asks for one. Nil when there is none; Without says
	// why, or how to bring one.
	Client  func(context.Context) (*Client, error)
	Without string

	// Domain is that of mail addresses, for Autodiscover. Optional.
	Domain string

	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // default net.Dialer
	Now     func() time.Time                                                     // default time.Now
	Timeout time.Duration                                                        // of one connection; default 4 s
}

// defaultTimeout bounds one connection: three follow each other at most.
const defaultTimeout = 3 * time.Second

// ParseURL reads the address of an Exchange front end and returns its host.
func ParseURL(address string) (host string, err error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%.100q is no address such as https://mail.example.com", address)
	case u.Scheme != "https":
		return "", fmt.Errorf("%.100q: phones ask over https only", address)
	case u.Path != "" && u.Path != "/" && !strings.EqualFold(strings.TrimSuffix(u.Path, "/"), activeSyncPath):
		return "", fmt.Errorf("%.100q: leave out the path", address)
	}
	return u.Host, nil
}

// Check asks the server. It returns when ctx ends, at the latest.
func Check(ctx context.Context, c Config) []Finding {
	c.Dial = orDial(c.Dial)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.System == nil {
		c.System = systemRoots()
	}
	r := &run{c: c, host: hostname(c.Host), address: withPort(c.Host)}
	r.first(ctx)
	if f, failed := r.unreachable(); failed {
		return []Finding{f}
	}
	certificate := r.serverCertificate()
	findings := []Finding{r.versions(), certificate, r.question(), r.withoutCertificate()}
	findings = append(findings, r.others(ctx, findings)...)
	if f, known := r.clock(); known {
		findings = append(findings, f)
	}
	return findings
}

// others asks what is asked of a trusted server only: with the client certificate, and
// Autodiscover, side by side.
func (r *run) others(ctx context.Context, before []Finding) []Finding {
	if !r.trusted {
		return []Finding{
			{Code: "not-tried", What: stepCertificate, State: skipped, Text: "not tried: phones do not trust the server's certificate, and a client certificate is shown to no other server"},
			{Code: "not-tried", What: stepAutodiscover, State: skipped, Text: "not tried: phones do not trust the server's certificate"},
		}
	}
	var with, discovered []Finding
	var side sync.WaitGroup
	side.Go(func() { with = r.withCertificate(ctx, before) })
	side.Go(func() { discovered = r.autodiscover(ctx) })
	side.Wait()
	return append(with, discovered...)
}

// The steps, as findings name them.
const (
	stepServer       = "server"
	stepTLS          = "TLS"
	stepTrust        = "server certificate"
	stepQuestion     = "client certificate"
	stepWithout      = "ActiveSync without a certificate"
	stepCertificate  = "ActiveSync with a certificate"
	stepAutodiscover = "Autodiscover"
	stepClock        = "clock"
)

// skipped is the state of a step that needs an earlier one.
const skipped = portal.FindingSkipped

// run is the state of one check.
type run struct {
	c       Config
	host    string // without port
	address string // with port
	trusted bool
	leaf    *x509.Certificate // the client certificate, once it is known

	tls12, tls13 exchange   // OPTIONS without a certificate
	came         []exchange // with one
}

// first asks both versions of TLS without a certificate.
func (r *run) first(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { r.tls12 = r.ask(ctx, r.options(tls.VersionTLS12, nil)) })
	both.Go(func() { r.tls13 = r.ask(ctx, r.options(tls.VersionTLS13, nil)) })
	both.Wait()
}

// best is the exchange without a certificate that shows most: over TLS 1.2 late questions
// are seen.
func (r *run) best() exchange {
	if r.tls12.connected() {
		return r.tls12
	}
	return r.tls13
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(hostname(host), "443")
}

func orDial(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial != nil {
		return dial
	}
	return new(net.Dialer).DialContext
}

func systemRoots() *x509.CertPool {
	if roots, err := x509.SystemCertPool(); err == nil {
		return roots
	}
	return x509.NewCertPool()
}
