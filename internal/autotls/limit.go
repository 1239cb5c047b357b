package autotls

import (
	"errors"
	"io"
	"net/http"
)

// maxAnswer bounds a response body, in bytes. The largest real ones are certificate chains, of
// some kilobytes.
const maxAnswer = 1 << 20

var errAnswerLarge = errors.New("the answer is larger than 1 MiB")

// limited bounds response bodies, because the ACME client reads some of them whole.
type limited struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{resp.Body, maxAnswer}
	return resp, nil
}

// limitedBody returns an error after maxAnswer bytes, so that a truncated body is not taken for
// a complete one.
type limitedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errAnswerLarge
	}
	return n, err
}
