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
	"certportal/store"
)

// brittle is a store that falls over when asked for agents.
type brittle struct {
	*store.DB
	broken *atomic.Bool
}

func (b brittle) Agents(ctx context.Context, now time.Time, found func(certificate, key []byte) error) error {
	if b.broken.Load() {
		panic("broken")
	}
	return b.DB.Agents(ctx, now, found)
}

func answerOf(s *scep.Server, message []byte) int {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, scep.Path+"?operation=PKIOperation", bytes.NewReader(message)))
	return w.Code
}

// A panic ends one request, and leaves nothing locked.
func TestPanicEndsOneRequest(t *testing.T) {
	h := newHouse(t)
	var broken atomic.Bool
	h.config.Agents = brittle{h.db, &broken}
	s := h.replica()
	p, c := newPhone(t, 0), h.challenge(h.anna)
	stranger := selfSigned(t, rsaKey(t, 1), big.NewInt(77))
	request := csr(t, p.key, c.Secret, x509.CertificateRequest{})
	foreign := must[*wire.PKIMessage](t)(wire.NewCSRRequest(request, &wire.PKIMessage{
		MessageType: wire.PKCSReq, Recipients: []*x509.Certificate{stranger}, SignerKey: p.key, SignerCert: p.signer,
	}))
	h.pass(time.Minute) // or it would not look for the agent of another replica
	broken.Store(true)
	if got := answerOf(s, foreign.Raw); got != http.StatusInternalServerError {
		t.Errorf("status %d", got)
	}
	broken.Store(false)
	h.pass(time.Minute)
	if got := answerOf(s, foreign.Raw); got != http.StatusOK {
		t.Errorf("status %d of a message to nobody, want a refusal in kind", got)
	}
	if got := answerOf(s, h.message(p, wire.PKCSReq, request).Raw); got != http.StatusOK || h.serials() != 1 {
		t.Errorf("status %d and %d serials afterwards", got, h.serials())
	}
}

// Half a message is no success.
func TestBrokenBody(t *testing.T) {
	h := newHouse(t)
	w := httptest.NewRecorder()
	body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	h.server.ServeHTTP(w, httptest.NewRequest(http.MethodPost, scep.Path+"?operation=PKIOperation", body))
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d, want %d", w.Code, http.StatusBadRequest)
	}
}

// Without a CA that signs, an agent that is there goes on; without one nobody can
// be encrypted to, and the answer says that trying later helps.
func TestSealedCA(t *testing.T) {
	h := newHouse(t)
	h.config.Issuer = nil
	h.replica()
	empty := newHouse(t)
	empty.config.Issuer = nil
	empty.pass(100 * 24 * time.Hour)
	s := must[*scep.Server](t)(scep.New(empty.config))
	if err := s.Refresh(t.Context()); err == nil {
		t.Error("no agent and no issuer, and all is well")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, scep.Path+"?operation=GetCACert", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, retry %q", w.Code, w.Header().Get("Retry-After"))
	}
}

func TestNewRefuses(t *testing.T) {
	h := newHouse(t)
	for name, change := range map[string]func(*scep.Config){
		"registrar": func(c *scep.Config) { c.Registrar = nil }, "by": func(c *scep.Config) { c.By = nil },
		"agents": func(c *scep.Config) { c.Agents = nil },
		"seal":   func(c *scep.Config) { c.Seal = nil }, "open": func(c *scep.Config) { c.Open = nil },
	} {
		c := h.config
		change(&c)
		if _, err := scep.New(c); err == nil {
			t.Errorf("no %s, and no error", name)
		}
	}
}

// The key in the store opens with the passphrase of the CA alone.
func TestA13_AgentKeyIsSealed(t *testing.T) {
	h := newHouse(t)
	passphrase := []byte("correct horse battery staple")
	h.config.Seal = func(key crypto.Signer) ([]byte, error) { return ca.SealKey(key, passphrase) }
	h.config.Open = func(file []byte) (crypto.Signer, error) { return ca.OpenKey(file, passphrase) }
	h.pass(80 * 24 * time.Hour)
	h.replica() // makes a new agent, beside the one that does not open
	h.config.Open = func(file []byte) (crypto.Signer, error) { return ca.OpenKey(file, []byte("wrong")) }
	h.config.Issuer = nil
	s := must[*scep.Server](t)(scep.New(h.config))
	if err := s.Refresh(t.Context()); err == nil {
		t.Error("agents open with a wrong passphrase")
	}
}
