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

// signedExchange signs in by NTLM and sends a request on the same connection (MS-NTHT). The
// first message goes without body, so that the request itself is still sent once.
func (c *Client) signedExchange(ctx context.Context, call Call) (Reply, error) {
	account, err := c.ntlm()
	if err != nil {
		return Reply{}, fmt.Errorf("reading account: %w: %w", upstream.ErrUnsent, err)
	}
	client, end, err := c.oneConnection()
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
	}
	defer end()
	first := Call{Method: call.Method, Path: call.Path, Header: signedHeader(call.Header, ntlm.Negotiate())}
	asked, err := c.exchange(ctx, client, first)
	if err != nil {
		return Reply{}, fmt.Errorf("signing in by NTLM: %w: %w", upstream.ErrUnsent, err)
	}
	if asked.Status >= http.StatusInternalServerError {
		return Reply{}, fmt.Errorf("signing in by NTLM: answer has status %d: %w", asked.Status, upstream.ErrUnsent)
	}
	if asked.Success() {
		return Reply{}, fmt.Errorf("signing in by NTLM: the server does not ask for it: %w", upstream.ErrUnsent)
	}
	raw := challengeIn(asked)
	if asked.Status != http.StatusUnauthorized || raw == nil {
		return asked, nil
	}
	answer, err := c.authenticate(account, asked, raw)
	if err != nil {
		return Reply{}, fmt.Errorf("signing in by NTLM: %w: %w", upstream.ErrUnsent, err)
	}
	call.Header = signedHeader(call.Header, answer)
	return c.exchange(ctx, client, call)
}

func (c *Client) authenticate(account ntlm.Account, asked Reply, raw []byte) ([]byte, error) {
	if asked.server == nil {
		return nil, errors.New("the server showed no certificate")
	}
	channel, err := ntlm.ServerEndPoint(asked.server)
	if err != nil {
		return nil, err
	}
	challenge, err := ntlm.ParseChallenge(raw)
	if err != nil {
		return nil, err
	}
	return challenge.Authenticate(account, ntlm.Binding{Service: "HTTP/" + c.base.Hostname(), Channel: channel})
}

// oneConnection makes a client that connects once: NTLM signs in a connection, and on
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

func signedHeader(header http.Header, message []byte) http.Header {
	signed := maps.Clone(header)
	if signed == nil {
		signed = http.Header{}
	}
	signed["Authorization"] = []string{"NTLM " + base64.StdEncoding.EncodeToString(message)}
	return signed
}

// challengeIn gives the server's message, or nil when it does not offer NTLM.
func challengeIn(r Reply) []byte {
	for _, value := range r.Header.Values("WWW-Authenticate") {
		scheme, text, _ := strings.Cut(strings.TrimSpace(value), " ")
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil && strings.EqualFold(scheme, "NTLM") && len(raw) > 0 {
			return raw
		}
	}
	return nil
}
