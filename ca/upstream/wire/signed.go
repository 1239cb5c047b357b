package wire

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"certportal/ca/upstream"
	"certportal/ca/upstream/ntlm"
)

// signIn is one way of signing in a connection.
type signIn struct {
	name   string // for errors
	scheme string // of HTTP
	first  []byte // message without which the server gives no challenge; empty for none

	// answer makes the message that goes with the request, bound to the server.
	answer func(ctx context.Context, challenge []byte, bound ntlm.Binding) ([]byte, error)

	// refused is called when the server does not accept the message. Optional.
	refused func(service string)
}

// signIn gives the way of the client, nil without.
func (c *Client) signIn() *signIn {
	switch {
	case c.kerberos != nil:
		return &signIn{name: "Kerberos", scheme: "Negotiate", refused: c.kerberos.Forget,
			answer: func(ctx context.Context, _ []byte, bound ntlm.Binding) ([]byte, error) {
				return c.kerberos.Token(ctx, bound.Service, bound.Channel)
			}}
	case c.ntlm != nil:
		return &signIn{name: "NTLM", scheme: "NTLM", first: ntlm.Negotiate(), answer: c.byNTLM}
	}
	return nil
}

func (c *Client) byNTLM(_ context.Context, raw []byte, bound ntlm.Binding) ([]byte, error) {
	challenge, err := ntlm.ParseChallenge(raw)
	if err != nil {
		return nil, err
	}
	account, err := c.ntlm()
	if err != nil {
		return nil, fmt.Errorf("reading account: %w", err)
	}
	return challenge.Authenticate(account, bound)
}

// signedExchange signs in and sends a request on the same connection (MS-NTHT, RFC 4559). A
// first message goes without body, so that the request itself is still sent once. It shows
// the certificate to which the sign-in is bound.
func (c *Client) signedExchange(ctx context.Context, way *signIn, call Call) (Reply, error) {
	client, end, err := c.oneConnection()
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
	}
	defer end()
	asked, err := c.exchange(ctx, client, Call{Method: call.Method, Path: call.Path, Header: way.header(call.Header, way.first)})
	if err != nil {
		return Reply{}, fmt.Errorf("signing in by %s: %w: %w", way.name, upstream.ErrUnsent, err)
	}
	if asked.Status >= http.StatusInternalServerError {
		return Reply{}, fmt.Errorf("signing in by %s: answer has status %d: %w", way.name, asked.Status, upstream.ErrUnsent)
	}
	if asked.Success() {
		return Reply{}, fmt.Errorf("signing in by %s: the server does not ask for it: %w", way.name, upstream.ErrUnsent)
	}
	challenge, offered := way.challenge(asked)
	if asked.Status == http.StatusUnauthorized && !offered {
		denied := &upstream.Denied{Code: asked.code(), Text: "the server does not offer " + way.name, Credentials: true} // not of the sign-in: nothing was shown
		return Reply{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, denied)
	}
	if asked.Status != http.StatusUnauthorized {
		return asked, nil
	}
	bound, err := c.binding(asked)
	if err != nil {
		return Reply{}, fmt.Errorf("signing in by %s: %w: %w", way.name, upstream.ErrUnsent, err)
	}
	message, err := way.answer(ctx, challenge, bound)
	if err != nil {
		return Reply{}, fmt.Errorf("signing in by %s: %w: %w", way.name, upstream.ErrUnsent, err)
	}
	call.Header = way.header(call.Header, message)
	reply, err := c.exchange(ctx, client, call)
	if err == nil && reply.Status == http.StatusUnauthorized && way.refused != nil {
		way.refused(bound.Service)
	}
	return reply, err
}

// binding names the server and its certificate.
func (c *Client) binding(asked Reply) (ntlm.Binding, error) {
	if asked.server == nil {
		return ntlm.Binding{}, errors.New("the server showed no certificate")
	}
	channel, err := serverEndPoint(asked.server)
	return ntlm.Binding{Service: "HTTP/" + c.base.Hostname(), Channel: channel}, err
}

// oneConnection makes a client that connects once: the sign-in is of a connection, and on
// another one the request would arrive unsigned.
func (c *Client) oneConnection() (*http.Client, func(), error) {
	shared, ok := c.http.Transport.(*http.Transport)
	if !ok {
		return nil, nil, errors.New("transport cannot be copied")
	}
	transport := shared.Clone()
	transport.DisableKeepAlives, transport.MaxConnsPerHost = false, 1
	var dialled atomic.Bool
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errors.New("the server ended the connection while the client signed in")
		}
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	}
	return &http.Client{Transport: transport, CheckRedirect: c.http.CheckRedirect}, transport.CloseIdleConnections, nil
}

// header adds a message, if there is one.
func (s *signIn) header(header http.Header, message []byte) http.Header {
	signed := maps.Clone(header)
	if signed == nil {
		signed = http.Header{}
	}
	if len(message) > 0 {
		signed["Authorization"] = []string{s.scheme + " " + base64.StdEncoding.EncodeToString(message)}
	}
	return signed
}

// challenge gives the server's message, and whether the server offers the way: with a
// message where the client sent the first.
func (s *signIn) challenge(r Reply) (message []byte, offered bool) {
	for _, value := range r.Header.Values("WWW-Authenticate") {
		scheme, text, _ := strings.Cut(strings.TrimSpace(value), " ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err == nil && strings.EqualFold(scheme, s.scheme) && (len(raw) > 0) == (len(s.first) > 0) {
			return raw, true
		}
	}
	return nil, false
}
