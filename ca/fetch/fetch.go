// Package fetch gets what the certificates of a CA point to, revocation lists and
// certificates of issuers, over http, and verifies it as a relying party does: RFC 5280
// sections 4.2.1.13, 4.2.2.1, 5 and 6.3.
//
// It serves the chain of a company's root and CAs that the portal does not run, whose lists
// the portal does not make. The addresses come from CA certificates that an administrator
// imported, and from certificates that a CA of the settings signed, never from a request.
// Still only http and https are asked, redirections included, answers are bounded in size and
// time, and nothing of an answer is shown but what was parsed.
//
// Results are sentences in English for operators, one for each address.
package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	// MaxCRL bounds a revocation list in bytes unless the client says otherwise: about
	// 1.7 million entries.
	MaxCRL = 64 << 20
	// MaxCertificate bounds a file with the certificates of an issuer in bytes.
	MaxCertificate = 256 << 10
	// AddressTimeout bounds the time of one address, so that a slow one leaves time
	// for the others.
	AddressTimeout = 15 * time.Second

	maxRedirects = 3
)

// Client fetches. The zero value is ready for use, concurrently too.
type Client struct {
	// Roots are trusted for https addresses. Nil: those of this machine. What is
	// fetched is signed, so https adds nothing but a hindrance.
	Roots *x509.CertPool

	MaxCRL  int64         // Optional: default [MaxCRL]
	Timeout time.Duration // Optional: of one address; default [AddressTimeout]
}

// State says whether an address, or all of a certificate's, does its duty.
type State int

const (
	// Good means fetched and verified.
	Good State = iota + 1
	// Warning means that clients get what they need, but not as they should.
	Warning
	// Failed means that clients do not get it.
	Failed
	// NotChecked means that the portal cannot ask such an address, as ldap.
	NotChecked
	// OutOfScope means a list that says nothing about the certificate.
	OutOfScope
)

// String gives the state in lower case.
func (s State) String() string {
	switch s {
	case Good:
		return "good"
	case Warning:
		return "warning"
	case Failed:
		return "failed"
	case NotChecked:
		return "not checked"
	case OutOfScope:
		return "out of scope"
	}
	return "unknown"
}

// Problem is the kind of a failure.
type Problem int

const (
	// Unreachable means that there was no whole answer.
	Unreachable Problem = iota + 1
	// Invalid means that what is there cannot be used: no list, another CA's, a wrong scope.
	Invalid
	// Expired means a list of the right CA whose time is over.
	Expired
	// Outdated means a list of the right CA in the place of a newer one that was there before.
	Outdated
)

// checkable says why an address cannot be asked. The error is nil for one that can.
func checkable(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("it is no address")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("not checked: the portal asks http addresses, not %q", u.Scheme)
	case u.Host == "" || u.User != nil:
		return errors.New("not checked: an address without a host, or with a user name")
	}
	return nil
}

// get fetches an address. The error is a sentence about it.
func (c *Client) get(ctx context.Context, address string, limit int64) ([]byte, error) {
	return c.do(ctx, http.MethodGet, address, nil, limit)
}

// do sends a request, with a body unless that is nil.
func (c *Client) do(ctx context.Context, method, address string, content []byte, limit int64) ([]byte, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = AddressTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return nil, errors.New("it is no address")
	}
	if content != nil {
		request.Header.Set("Content-Type", "application/ocsp-request")
	}
	request.Header.Set("User-Agent", "certportal")
	var way route
	transport := c.transport(&way)
	defer transport.CloseIdleConnections()
	began := time.Now()
	answer, err := (&http.Client{Transport: transport, CheckRedirect: way.redirect}).Do(request)
	if err != nil {
		return nil, sentence(ctx, err, began)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	case answer.ContentLength > limit:
		return nil, fmt.Errorf("the file has %d bytes, more than the %d that are read", answer.ContentLength, limit)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return nil, sentence(ctx, err, began)
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("the file has more than the %d bytes that are read", limit)
	case len(body) == 0:
		return nil, errors.New("the answer is empty")
	case isPage(body):
		return nil, errors.New("what is there is a web page: a sign-in page or an error page in between")
	}
	return body, nil
}

// isPage reports whether a body is HTML or XML, which neither DER nor PEM begin like.
func isPage(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }

// transport asks directly, as Windows servers do by default for these addresses, and
// takes the file as it is: a compressed answer could unpack to any size.
func (c *Client) transport(way *route) *http.Transport {
	dialer := &net.Dialer{Control: way.refuse}
	return &http.Transport{
		DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
	}
}

// sentence makes a sentence of an error of net/http, without the address in it.
func sentence(ctx context.Context, err error, began time.Time) error {
	var redirected *redirectError
	var name *net.DNSError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &redirected):
		return redirected
	case ctx.Err() != nil:
		return fmt.Errorf("no whole answer in %v", time.Since(began).Round(100*time.Millisecond))
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Errorf("DNS does not know %q", name.Name)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the answer breaks off")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("no server listens there (connection refused)")
	case errors.Is(err, errLinkLocal):
		return errLinkLocal
	case errors.Is(err, errThisMachine):
		return errThisMachine
	case errors.As(err, &untrusted):
		return errors.New("the certificate of its server is not accepted here")
	case strings.Contains(err.Error(), "response headers exceeded"):
		return errors.New("the header of the answer is too long")
	}
	// The text of any other error may quote what the server sent.
	return errors.New("it cannot be fetched")
}
