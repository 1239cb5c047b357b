package scep_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	wire "github.com/smallstep/scep"

	"certportal/ca"
	"certportal/internal/scep"
	"certportal/internal/test/testkit"
	"certportal/store"
)

// brittle is a store whose RA method panics while broken is set.
type brittle struct {
	*store.DB
	broken *atomic.Bool
}

func (b brittle) RA(ctx context.Context, serial ca.Serial, now time.Time) (certificate, key []byte, err error) {
	if b.broken.Load() {
		panic("broken")
	}
	return b.DB.RA(ctx, serial, now)
}

func statusOf(s *scep.Server, message []byte) int {
	return statusWithin(context.Background(), s, message)
}

func statusWithin(ctx context.Context, s *scep.Server, message []byte) int {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, scep.Path+"?operation=PKIOperation", bytes.NewReader(message)))
	return w.Code
}

// A panic ends only its request and leaves no mutex locked.
func TestPanicEndsOneRequest(t *testing.T) {
	h := newFixture(t)
	var broken atomic.Bool
	h.config.Store = brittle{h.db, &broken}
	s := h.replica()
	p, c := newPhone(t, 0), h.challenge(h.anna)
	unknown := selfSigned(t, rsaKey(t, 1), big.NewInt(77))
	request := csr(t, p.key, c.Secret, x509.CertificateRequest{})
	foreign := testkit.Must(wire.NewCSRRequest(request, &wire.PKIMessage{
		MessageType: wire.PKCSReq, Recipients: []*x509.Certificate{unknown}, SignerKey: p.key, SignerCert: p.signer,
	}))(t)
	broken.Store(true)
	if got := statusOf(s, foreign.Raw); got != http.StatusInternalServerError {
		t.Errorf("status %d", got)
	}
	broken.Store(false)
	if got := statusOf(s, foreign.Raw); got != http.StatusOK {
		t.Errorf("status %d of a message to an unknown recipient, want a SCEP response", got)
	}
	if got := statusOf(s, h.message(p, wire.PKCSReq, request).Raw); got != http.StatusOK || h.serials() != 1 {
		t.Errorf("status %d and %d serials afterwards", got, h.serials())
	}
}

// A truncated body must not be answered with 200.
func TestBrokenBody(t *testing.T) {
	h := newFixture(t)
	w := httptest.NewRecorder()
	body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	h.server.ServeHTTP(w, httptest.NewRequest(http.MethodPost, scep.Path+"?operation=PKIOperation", body))
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d, want %d", w.Code, http.StatusBadRequest)
	}
}

// Without an issuer an existing RA continues to work. Without an RA the server answers
// 503 with Retry-After.
func TestSealedCA(t *testing.T) {
	h := newFixture(t)
	h.config.Issuer = nil
	h.replica()
	empty := newFixture(t)
	empty.config.Issuer = nil
	empty.pass(100 * 24 * time.Hour)
	s := testkit.Must(scep.New(empty.config))(t)
	if err := s.Refresh(t.Context()); err == nil {
		t.Error("no RA and no issuer: no error")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, scep.Path+"?operation=GetCACert", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, retry %q", w.Code, w.Header().Get("Retry-After"))
	}
}

func TestNewRefuses(t *testing.T) {
	h := newFixture(t)
	for name, change := range map[string]func(*scep.Config){
		"registrar": func(c *scep.Config) { c.Registrar = nil }, "actor": func(c *scep.Config) { c.Actor = nil },
		"store":   func(c *scep.Config) { c.Store = nil },
		"encrypt": func(c *scep.Config) { c.Encrypt = nil }, "decrypt": func(c *scep.Config) { c.Decrypt = nil },
	} {
		c := h.config
		change(&c)
		if _, err := scep.New(c); err == nil {
			t.Errorf("no %s, and no error", name)
		}
	}
}

// The RA key in the store can be decrypted only with the passphrase of the CA.
func TestA13_AgentKeyIsSealed(t *testing.T) {
	h := newFixture(t)
	passphrase := []byte("correct horse battery staple")
	h.config.Encrypt = func(key crypto.Signer) ([]byte, error) { return ca.EncryptKey(key, passphrase) }
	h.config.Decrypt = func(file []byte) (crypto.Signer, error) { return ca.DecryptKey(file, passphrase) }
	h.pass(80 * 24 * time.Hour)
	h.replica() // issues a new RA beside the one whose key cannot be decrypted
	h.config.Decrypt = func(file []byte) (crypto.Signer, error) { return ca.DecryptKey(file, []byte("wrong")) }
	h.config.Issuer = nil
	s := testkit.Must(scep.New(h.config))(t)
	if err := s.Refresh(t.Context()); err == nil {
		t.Error("RA keys decrypted with a wrong passphrase")
	}
}
