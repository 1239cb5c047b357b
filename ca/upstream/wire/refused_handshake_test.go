package wire_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/testkit"
)

// A server that wants a client certificate did not read the request of a client without
// one. In TLS 1.3 it says so only after the client sent it.
func TestRefusedClientCertificateIsUnsent(t *testing.T) {
	request := bytes.Repeat([]byte("request "), 1500) // as long as one with an agent's signature and chain
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		requests := 0
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests++ }))
		server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(), MinVersion: version, MaxVersion: version}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		defer server.Close()
		client := testkit.Must(wire.New(wire.Config{URL: server.URL, Anchors: []*x509.Certificate{server.Certificate()}}))(t)
		_, err := client.Do(t.Context(), wire.Call{Method: http.MethodPost, Body: request})
		if !errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("version %#x: error is %v, want ErrUnsent", version, err)
		}
		testkit.Equal(t, "requests", requests, 0)
	}
}
