// Package standin is what the stand-ins of CAs share: an HTTPS server that issues
// certificates for requests, counts them, and misbehaves on demand. Each protocol has a
// package below this one. A stand-in is built from public descriptions of a protocol: it
// proves that a client does what they say, and not that the product does.
package standin

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is how a stand-in answers a request for a certificate.
type Fault string

// Faults of the answer. All but Unavailable come after a certificate was issued, so that a
// client that sends again gets a second one.
const (
	None         Fault = ""
	Slow         Fault = "slow"             // no answer until Release
	Cut          Fault = "cut"              // the connection ends before the answer
	Half         Fault = "half"             // the connection ends within the answer
	Garbage      Fault = "garbage"          // random bytes with the right status and type
	HTML         Fault = "html"             // a page with status 200
	Huge         Fault = "huge"             // 10 MB
	Twice        Fault = "twice"            // the whole answer two times
	Empty        Fault = "empty"            // nothing, with the right status
	ServerError  Fault = "server-error"     // status 500 after issuing
	ToHTTP       Fault = "redirect-to-http" // status 307 to the same host without TLS, nothing issued
	ToOtherHost  Fault = "redirect-to-host" // status 307 to another host, nothing issued
	Unavailable  Fault = "unavailable"      // status 503, nothing issued
	Unauthorized Fault = "credentials"      // the protocol's answer to wrong credentials
	Pending      Fault = "pending"          // waits for approval, where the protocol can
	Denied       Fault = "denied"           // the protocol's answer to a forbidden request
)

// AfterIssuing are the faults after which a certificate exists that the client did not get.
func AfterIssuing() []Fault {
	return []Fault{Cut, Half, Garbage, HTML, Huge, Empty, ServerError}
}

// Server is a stand-in's server and CA. It is safe for concurrent use.
type Server struct {
	URL   string
	TLS   *x509.Certificate   // root of the server's certificate
	Chain []*x509.Certificate // of the CA: issuing CA, root

	authority *authority
	server    *httptest.Server
	handler   http.Handler
	clientCAs *x509.CertPool
	release   chan struct{}
	answering chan struct{} // a slow answer reached the point where it waits

	mu      sync.Mutex
	fault   Fault
	wrong   Wrong
	submits int
	issued  []*x509.Certificate
	calls   []string
}

// Start serves the handler, or nothing where it is nil, until the test ends. clientCAs are the roots of client
// certificates, which are then optional in the handshake. Optional.
func Start(t testing.TB, handler func(*Server) http.Handler, clientCAs *x509.CertPool) *Server {
	t.Helper()
	a, err := newAuthority()
	if err != nil {
		t.Fatalf("making CA of the stand-in: %v", err)
	}
	s := &Server{authority: a, release: make(chan struct{}), answering: make(chan struct{}, 100), Chain: []*x509.Certificate{a.issuer, a.root}}
	inner := http.NotFoundHandler()
	if handler != nil {
		inner = handler(s)
	}
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls = append(s.calls, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		inner.ServeHTTP(w, r)
	})
	s.clientCAs = clientCAs
	s.server = httptest.NewUnstartedServer(s.handler)
	s.serve()
	s.URL, s.TLS = s.server.URL, s.server.Certificate()
	t.Cleanup(func() {
		s.Release()
		s.server.Close()
	})
	return s
}

func (s *Server) serve() {
	s.server.TLS = clientAuth(s.clientCAs)
	s.server.Config.ErrorLog = quiet()
	s.server.StartTLS()
}

// Stop ends the server, as when its machine is gone. again starts it at the same address.
func (s *Server) Stop() (again func(testing.TB)) {
	address := s.server.Listener.Addr().String()
	s.server.Close()
	return func(t testing.TB) {
		t.Helper()
		next := httptest.NewUnstartedServer(s.handler)
		next.Listener.Close()
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatalf("starting stand-in again: %v", err)
		}
		next.Listener, s.server = listener, next
		s.serve()
	}
}

// Set chooses how the next requests are answered.
func (s *Server) Set(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// SetWrong chooses in what the next certificates differ from their requests.
func (s *Server) SetWrong(w Wrong) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = w
}

// Fault gives how requests are answered.
func (s *Server) Fault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// Submits counts the requests for certificates that arrived.
func (s *Server) Submits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.submits
}

// Issued gives all certificates that were issued.
func (s *Server) Issued() []*x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*x509.Certificate(nil), s.issued...)
}

// Calls gives method and path of all requests.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// Release lets all slow requests end.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.release:
	default:
		close(s.release)
	}
}

// awaitIssued waits until a slow answer keeps the client waiting.
func (s *Server) awaitIssued() { <-s.answering }

// Submitted counts a request for a certificate.
func (s *Server) Submitted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.submits++
}

// Issue issues a certificate for a PKCS#10 request in DER.
func (s *Server) Issue(csr []byte) (*x509.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cert, err := s.authority.issue(csr, s.wrong)
	if err != nil {
		return nil, fmt.Errorf("issuing: %w", err)
	}
	s.issued = append(s.issued, cert)
	return cert, nil
}

// Redirects answers a request that was not processed, and reports whether it did.
func (s *Server) Redirects(w http.ResponseWriter, r *http.Request) bool {
	switch s.Fault() {
	case ToHTTP:
		http.Redirect(w, r, "http://"+r.Host+r.URL.Path, http.StatusTemporaryRedirect)
	case ToOtherHost:
		http.Redirect(w, r, "https://other.example/secret", http.StatusTemporaryRedirect)
	case Unavailable:
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	default:
		return false
	}
	return true
}

// Answer sends the answer to a request for which a certificate was issued, or what the
// fault makes of it.
func (s *Server) Answer(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	switch s.Fault() {
	case Slow:
		s.answering <- struct{}{}
		select {
		case <-s.release:
		case <-r.Context().Done():
		}
	case Cut:
		hangUp(w, "")
	case Half:
		hangUp(w, fmt.Sprintf("HTTP/1.1 %d OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, kind, len(body), body[:len(body)/2]))
	case Twice:
		whole := fmt.Sprintf("HTTP/1.1 %d OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, kind, len(body), body)
		hangUp(w, whole+whole)
	case Garbage:
		w.WriteHeader(status)
		io.WriteString(w, strings.Repeat("\x00\xff\x30\x82", 100))
	case HTML:
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html><body>Welcome to the proxy</body></html>")
	case Huge:
		w.WriteHeader(status)
		io.Copy(w, io.LimitReader(endless{}, 10<<20))
	case Empty:
		w.WriteHeader(status)
	case ServerError:
		http.Error(w, "server error", http.StatusInternalServerError)
	default:
		w.WriteHeader(status)
		w.Write(body)
	}
}

// hangUp writes raw bytes and closes the connection.
func hangUp(w http.ResponseWriter, raw string) {
	conn, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	buffer.WriteString(raw)
	buffer.Flush()
	if tcp, is := conn.(*net.TCPConn); is {
		tcp.SetDeadline(time.Now())
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'A'
	}
	return len(b), nil
}
