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
	// maxAnswer bounds what is read of one answer, in bytes. The largest real ones
	// are key sets with certificates, some tens of kilobytes.
	maxAnswer = 256 << 10

	// maxConnections bounds what a slow provider can tie up.
	maxConnections = 32
)

// errAnswerLarge says that an answer is longer than any provider's.
var errAnswerLarge = errors.New("answer over the limit")

// newClient makes the client for one provider. It follows no redirect: an answer
// comes from the address that was configured or discovered, or not at all.
func newClient(roots *x509.CertPool, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: careful{&http.Transport{
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

// careful bounds the bodies, and makes an error of every status that is not an
// answer to the question.
type careful struct{ next http.RoundTripper }

// RoundTrip fulfils http.RoundTripper.
func (c careful) RoundTrip(r *http.Request) (*http.Response, error) {
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
	response.Body = &bounded{response.Body, maxAnswer}
	return response, nil
}

// bounded reads up to a limit and then fails: a document cut short must not be
// taken for a whole one.
type bounded struct {
	io.ReadCloser
	left int64
}

// Read fulfils io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errAnswerLarge
	}
	return n, err
}

// document reads a JSON document of the provider.
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
