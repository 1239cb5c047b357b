package load_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/internal/test/load"
	"certportal/internal/test/testkit"
)

// questions asks about certificates by OCSP, over plain http.
type questions struct {
	p        *portal
	issuing  *x509.Certificate
	requests [][]byte
	took     load.Times
	failed   atomic.Int64
}

// ask makes a client that asks about the certificates in turn.
func (p *portal) questions(leaves ...*x509.Certificate) *questions {
	p.t.Helper()
	q := &questions{p: p}
	_, body, err := p.fetch(p.t.Context(), "/ca/issuing.cer", nil)
	testkit.NoError(p.t, err)
	q.issuing = testkit.Must(x509.ParseCertificate(body))(p.t)
	for _, leaf := range leaves {
		q.requests = append(q.requests, testkit.Must(ocsp.CreateRequest(leaf, q.issuing, nil))(p.t))
	}
	return q
}

// fetch asks over plain http: by POST where there is a body.
func (p *portal) fetch(ctx context.Context, path string, body []byte) (int, []byte, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, p.http+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/ocsp-request")
	}
	resp, err := (&http.Client{Transport: p.public, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, content, err
}

// once asks question i.
func (q *questions) once(ctx context.Context, i int) error {
	status, body, err := q.p.fetch(ctx, "/ocsp", q.requests[i%len(q.requests)])
	if err != nil {
		return err
	}
	answer, err := ocsp.ParseResponse(body, q.issuing)
	if err == nil && (status != http.StatusOK || answer.Status != ocsp.Good) {
		err = fmt.Errorf("status %d, certificate %d", status, answer.Status)
	}
	return err
}

// keep asks so often a second until stop is called.
func (q *questions) keep(t testing.TB, perSecond float64) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		load.Pace(ctx, perSecond, 0, func(i int) {
			began := time.Now()
			if err := q.once(context.WithoutCancel(ctx), i); err != nil {
				if q.failed.Add(1) <= 5 {
					t.Errorf("OCSP: %v", err)
				}
				return
			}
			q.took.Since(began)
		})
	}()
	return func() { cancel(); <-ended }
}
