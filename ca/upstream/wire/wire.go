// Package wire sends HTTP requests to a CA, each at most once, and knows whether a request
// that failed can have arrived.
package wire

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/kerberos"
	"certportal/ca/upstream/ntlm"
)

const (
	// MaxReply bounds the body of an answer in bytes. A certificate with its chain takes a
	// hundredth of it.
	MaxReply = 1 << 20

	// defaultTimeout suits AD CS, which may wait for a policy module.
	defaultTimeout = 60 * time.Second

	// dialTimeout leaves time to ask another address.
	dialTimeout = 10 * time.Second
)

// Config says how a CA is reached.
type Config struct {
	// URL is the address that those of all calls must have: https, host and port.
	URL string

	// Anchors are the roots of the server's TLS certificate. Optional: default those of
	// the system.
	Anchors []*x509.Certificate

	// Certificate gives the TLS client certificate, read again for each connection, so that
	// it can be renewed. Optional.
	Certificate func() (*tls.Certificate, error)

	// NTLM gives the account that signs in by NTLMv2 on each connection, bound to the
	// server's certificate. It is read again for each call. Optional.
	NTLM func() (ntlm.Account, error)

	// Kerberos signs in each connection by SPNEGO, bound to the server's certificate.
	// Optional; not with NTLM.
	Kerberos *kerberos.Account

	Timeout time.Duration // Optional: of one call; default 60 s
}

// Client talks to one CA. It is safe for concurrent use.
type Client struct {
	base     *url.URL
	http     *http.Client
	ntlm     func() (ntlm.Account, error)
	kerberos *kerberos.Account
	timeout  time.Duration
}

// New checks the configuration. It sends nothing.
func New(c Config) (*Client, error) {
	base, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("parsing address of the CA: %w", err)
	}
	if base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("address of the CA %q: want https://host/path without user and query", base.Redacted())
	}
	// One record and one write for a request: the second write to a server that refused the
	// client's certificate fails before its alert is read, and then the outcome is unknown.
	config := &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	if len(c.Anchors) > 0 {
		config.RootCAs = x509.NewCertPool()
		for _, root := range c.Anchors {
			config.RootCAs.AddCert(root)
		}
	}
	if c.Certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.Certificate() }
	}
	return &Client{base: base, ntlm: c.NTLM, kerberos: c.Kerberos, timeout: cmp.Or(c.Timeout, defaultTimeout), http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: config,
			WriteBufferSize: 64 << 10,
			// A kept connection that the server just closed would make a request fail
			// that may have been sent. HTTP/2 is off, because it repeats requests.
			DisableKeepAlives:      true,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			Proxy:                  http.ProxyFromEnvironment,
		},
		// A redirect would send credentials and names to another address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Base gives the address of the CA. It is shared: do not change it.
func (c *Client) Base() *url.URL { return c.base }

// Call is one HTTP request.
type Call struct {
	Method string

	// Path is relative to the address of the CA, with query (RFC 3986 section 5.2): with a
	// leading / it is below the host, without it takes the place of what follows the last /
	// of the address. Empty is the address itself.
	Path string

	Header http.Header
	Body   []byte
}

// Reply is a whole answer.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte

	server *x509.Certificate
}

// Do sends a request once. It wraps [upstream.ErrUnsent] when no byte of it can have
// reached the CA.
func (c *Client) Do(ctx context.Context, call Call) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var reply Reply
	var err error
	if way := c.signIn(); way != nil {
		reply, err = c.signedExchange(ctx, way, call)
	} else {
		reply, err = c.exchange(ctx, c.http, call)
	}
	if err != nil {
		return Reply{}, fmt.Errorf("asking %s: %w", c.base.Host, err)
	}
	return reply, nil
}

// exchange sends a request once by a client.
func (c *Client) exchange(ctx context.Context, client *http.Client, call Call) (Reply, error) {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	target, err := c.base.Parse(call.Path)
	if err != nil {
		return Reply{}, fmt.Errorf("making address %q: %w: %w", call.Path, upstream.ErrUnsent, err)
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, target.String(), bytes.NewReader(call.Body))
	if err != nil {
		return Reply{}, fmt.Errorf("making request: %w: %w", upstream.ErrUnsent, err)
	}
	req.GetBody = nil // without it the body cannot be sent again
	for name, values := range call.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	reply, err := send(client, req)
	if err != nil && (!connected.Load() || refusedHandshake(err)) {
		err = fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
	}
	return reply, err
}

func send(client *http.Client, req *http.Request) (Reply, error) {
	res, err := client.Do(req)
	if err != nil {
		var failed *url.Error // its text holds the whole address
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return Reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxReply+1))
	if err != nil {
		return Reply{}, fmt.Errorf("reading answer with status %d: %w", res.StatusCode, err)
	}
	if len(body) > MaxReply {
		return Reply{}, fmt.Errorf("answer with status %d is longer than %d bytes", res.StatusCode, MaxReply)
	}
	reply := Reply{Status: res.StatusCode, Header: res.Header, Body: body}
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		reply.server = res.TLS.PeerCertificates[0]
	}
	return reply, nil
}

// refusedHandshake reports whether the server did not accept the client's certificate. In
// TLS 1.3 the client learns that only after it sent its request, which the server did not
// read.
func refusedHandshake(err error) bool {
	var failed *net.OpError
	if !errors.As(err, &failed) || failed.Op != "remote error" {
		return false
	}
	// Over TCP crypto/tls gives alerts by a type of its own, not as tls.AlertError.
	alert := reflect.ValueOf(failed.Err)
	// bad, unsupported, revoked, expired, unknown certificate, unknown CA, access denied,
	// certificate required (RFC 8446 section 6.2)
	return alert.Kind() == reflect.Uint8 && slices.Contains([]uint64{42, 43, 44, 45, 46, 48, 49, 116}, alert.Uint())
}
