package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxAnswer limits a response body, in bytes. The largest real ones are key sets with
	// certificates, some tens of kilobytes.
	maxAnswer = 256 << 10

	// maxConnections limits the connections that a slow provider can occupy.
	maxConnections = 32
)

// errAnswerLarge reports that a response body exceeds maxAnswer.
var errAnswerLarge = errors.New("response over the limit")

// newClient returns the HTTP client for one provider. It follows no redirect: responses
// come only from the addresses that were configured or discovered.
func newClient(roots *x509.CertPool, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: limitedTransport{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    timeout,
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        maxConnections,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// limitedTransport limits the bodies, and returns an error for every status that is not a
// response of the provider to the request.
type limitedTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (c limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests, status >= 500, status >= 300 && status < 400,
		status != http.StatusOK && r.Method == http.MethodGet:
		response.Body.Close()
		return nil, fmt.Errorf("status %d", status)
	}
	response.Body = &limitedBody{response.Body, maxAnswer}
	return response, nil
}

// limitedBody returns an error after maxAnswer bytes, so that a truncated document is not
// taken for a complete one.
type limitedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errAnswerLarge
	}
	return n, err
}

// document fetches a JSON document of the provider.
func (p *Provider) document(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	response, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", address, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: reading JSON: %w", address, err)
	}
	return nil
}
