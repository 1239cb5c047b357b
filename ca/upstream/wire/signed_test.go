package wire_test

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"certportal/ca/upstream"
	"certportal/ca/upstream/ntlm"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/testkit"
)

// A request must not go out on a connection that is not signed in, nor a second time, nor
// with a message that is not bound to the server.
func TestRequestWaitsForSignIn(t *testing.T) {
	challenge := "NTLM " + base64.StdEncoding.EncodeToString([]byte("NTLMSSP\x00\x02\x00\x00\x00"+strings.Repeat("\x00", 40)))
	for name, handler := range map[string]http.HandlerFunc{
		"connection ends": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.Header().Set("WWW-Authenticate", "NTLM "+goodChallenge())
			w.WriteHeader(http.StatusUnauthorized)
		},
		"challenge is cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"not asked for": func(http.ResponseWriter, *http.Request) {},
		"server error":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
	} {
		var bodies atomic.Int64
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			bodies.Add(n)
			handler(w, r)
		}))
		defer server.Close()
		client := testkit.Must(wire.New(wire.Config{
			URL: server.URL, Anchors: []*x509.Certificate{server.Certificate()},
			NTLM: func() (ntlm.Account, error) { return ntlm.Account{Domain: "CORP", User: "portal", Password: "x"}, nil },
		}))(t)
		_, err := client.Do(t.Context(), wire.Call{Method: http.MethodPost, Body: []byte("request")})
		if !errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("%s: error is %v, want ErrUnsent", name, err)
		}
		testkit.Equal(t, name+": octets of requests", bodies.Load(), 0)
	}
}

// goodChallenge has the target information that the client demands.
func goodChallenge() string {
	info := "\x07\x00\x08\x00" + strings.Repeat("\x01", 8) + "\x00\x00\x00\x00"
	header := "NTLMSSP\x00\x02\x00\x00\x00" + strings.Repeat("\x00", 8) + "\x15\x82\x8a\xe2" + strings.Repeat("\x02", 8) +
		strings.Repeat("\x00", 8) + "\x10\x00\x10\x00\x30\x00\x00\x00"
	return base64.StdEncoding.EncodeToString([]byte(header + info))
}
