// Package est is a stand-in for a server of EST (RFC 7030, RFC 8951).
package est

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"certportal/ca"
	"certportal/internal/test/standin"
)

// Names and secrets that the stand-in accepts.
const (
	Label    = "phones"
	User     = "certportal"
	Password = "correct horse: battery"
)

// CA is the stand-in.
type CA struct {
	*standin.Server

	// ClientCertificate is one that the stand-in accepts in the place of the password.
	ClientCertificate *tls.Certificate

	mu      sync.Mutex
	waiting map[string]bool // by request, whether it was approved
	polls   int
	binary  bool
}

// Start starts a stand-in until the test ends.
func Start(t testing.TB) *CA {
	t.Helper()
	c := &CA{waiting: map[string]bool{}}
	certificate, roots := standin.NewClientCertificate(t)
	c.ClientCertificate = certificate
	c.Server = standin.Start(t, func(*standin.Server) http.Handler { return c.routes() }, roots)
	return c
}

// Approve approves all requests that wait.
func (c *CA) Approve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for request := range c.waiting {
		c.waiting[request] = true
	}
}

// Polls counts the requests that were sent again while they waited.
func (c *CA) Polls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.polls
}

// SetBinary sends DER in the place of base64.
func (c *CA) SetBinary(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.binary = on
}

func (c *CA) routes() http.Handler {
	mux := http.NewServeMux()
	for _, prefix := range []string{"/.well-known/est/", "/.well-known/est/" + Label + "/"} {
		mux.HandleFunc("GET "+prefix+"cacerts", c.certificates)
		mux.HandleFunc("POST "+prefix+"simpleenroll", c.enroll)
	}
	return mux
}

func (c *CA) certificates(w http.ResponseWriter, _ *http.Request) {
	der, err := ca.PKCS7(c.Chain[1], c.Chain[0])
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/pkcs7-mime")
	w.Write(lines(der))
}

// lines is base64 in lines of 64 characters that end in CR LF.
func lines(der []byte) []byte {
	var b bytes.Buffer
	for text := base64.StdEncoding.EncodeToString(der); text != ""; {
		n := min(64, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.Bytes()
}

func (c *CA) authorized(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && user == User && password == Password || !ok && len(r.TLS.PeerCertificates) > 0
}

func (c *CA) enroll(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	csr, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
	approved, waits := c.poll(string(csr))
	if !waits {
		c.Submitted()
	}
	if c.Redirects(w, r) {
		return
	}
	switch {
	case !c.authorized(r) || c.Fault() == standin.Unauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="EST"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case err != nil, r.Header.Get("Content-Type") != "application/pkcs10":
		http.Error(w, "not a PKCS#10", http.StatusBadRequest)
	case c.Fault() == standin.Denied:
		http.Error(w, "name is not allowed\x1b[31m", http.StatusBadRequest)
	case waits && !approved, !waits && c.Fault() == standin.Pending:
		c.wait(string(csr))
		w.Header().Set("Retry-After", "30")
		http.Error(w, "waiting for approval", http.StatusAccepted)
	default:
		c.issue(w, r, csr)
	}
}

func (c *CA) poll(csr string) (approved, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	approved, waits = c.waiting[csr]
	if waits {
		c.polls++
	}
	return approved, waits
}

func (c *CA) wait(csr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.waiting[csr]; !known {
		c.waiting[csr] = false
	}
}

func (c *CA) issue(w http.ResponseWriter, r *http.Request, csr []byte) {
	cert, err := c.Issue(csr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	der, err := ca.PKCS7(c.Chain[0], cert) // the order says nothing
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	c.mu.Lock()
	body := lines(der)
	if c.binary {
		body = der
	}
	delete(c.waiting, string(csr))
	c.mu.Unlock()
	c.Answer(w, r, http.StatusOK, "application/pkcs7-mime; smime-type=certs-only", body)
}
