// Package adcs is what the stand-ins for the web services of Active Directory Certificate
// Services share: the CA with its numbered requests, officers, an enrolment agent that it
// checks, and its messages in three languages. It was built from public descriptions of
// MS-WCCE and MS-WSTEP: only a Windows CA proves that one accepts the same.
package adcs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/test/standin"
)

// Username and Password are those of the portal's account.
const (
	Username = `CORP\svc-portal`
	Password = `P@ss <&"wörd`
)

// Company is the forest around the CA: it issues the TLS client certificate of the portal
// and the certificate of the enrolment agent.
type Company struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCompany makes a company.
func NewCompany(t testing.TB) *Company {
	t.Helper()
	key := newKey(t)
	c := &Company{key: key}
	c.root = c.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Stand-in Company CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour * 24),
	}, nil, key.Public())
	return c
}

// Roots gives the roots of client certificates.
func (c *Company) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.root)
	return pool
}

// ClientCertificate makes a TLS client certificate of the portal's account.
func (c *Company) ClientCertificate(t testing.TB) func() (*tls.Certificate, error) {
	t.Helper()
	key := newKey(t)
	cert := c.ClientOf(t, key.Public())
	return func() (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, nil
	}
}

// ClientOf makes a TLS client certificate of the portal's account for a key.
func (c *Company) ClientOf(t testing.TB, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	return c.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "svc-portal"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, c.root, key)
}

func oidRequestAgent() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}
}

// Agent makes a certificate of an enrolment agent with its key.
func (c *Company) Agent(t testing.TB, end time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := newKey(t)
	return c.AgentOf(t, key.Public(), end), key
}

// AgentOf makes a certificate of an enrolment agent for a key.
func (c *Company) AgentOf(t testing.TB, key crypto.PublicKey, end time.Time) *x509.Certificate {
	t.Helper()
	return c.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "svc-portal agent"}, NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidRequestAgent()},
	}, c.root, key)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making key: %v", err)
	}
	return key
}

func (c *Company) sign(t testing.TB, template, parent *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatalf("making serial: %v", err)
	}
	template.SerialNumber, template.NotBefore = serial, time.Now().Add(-24*time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, c.key)
	if err != nil {
		t.Fatalf("signing %s: %v", template.Subject, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parsing %s: %v", template.Subject, err)
	}
	return cert
}

// CA is the CA behind a web service.
type CA struct {
	*standin.Server
	*Company

	mu       sync.Mutex
	people   []string // logins that the agent may enrol
	code     uint32   // answers every request; 0: none
	revoked  bool
	language string
	requests map[string]*request
	last     int64
	asked    []string // requesters of all signed requests
}

type request struct {
	csr    []byte
	result Result
}

// Result is what the CA has to say about a request.
type Result struct {
	ID          string
	Certificate *x509.Certificate // nil: pending, or refused with Code
	Code        uint32            // HRESULT, 0 for none
}

// Start serves a web service in a company until the test ends. The agent may enrol CORP\anna.
func Start(t testing.TB, company *Company, handler func(*CA) http.Handler) *CA {
	t.Helper()
	c := &CA{Company: company, people: []string{`CORP\anna`}, language: "en", requests: map[string]*request{}}
	c.Server = standin.Start(t, func(*standin.Server) http.Handler { return handler(c) }, c.Roots())
	return c
}

// SetCode makes the CA answer every request with an error. 0 ends that.
func (c *CA) SetCode(hresult uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.code = hresult
}

// RevokeAgent makes the CA refuse the signature of every agent.
func (c *CA) RevokeAgent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked = true
}

// SetLanguage chooses the language of the server: en, de or fr.
func (c *CA) SetLanguage(l string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.language = l
}

// Asked gives the logins of all requests that an agent signed.
func (c *CA) Asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...)
}

// Approve issues a pending request, as an officer of the CA does.
func (c *CA) Approve(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.requests[id]
	if r == nil {
		return fmt.Errorf("approving %s: no such request", id)
	}
	cert, err := c.Issue(r.csr)
	r.result.Certificate = cert
	return err
}

// Deny ends a pending request with an HRESULT.
func (c *CA) Deny(id string, hresult uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.requests[id]
	if r == nil {
		return fmt.Errorf("denying %s: no such request", id)
	}
	r.result.Code = hresult
	return nil
}

// Look gives what became of a request.
func (c *CA) Look(id string) Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.requests[strings.TrimSpace(id)]; r != nil {
		return r.result
	}
	return Result{Code: noRequest}
}

// Take takes a request: PKCS#10, or CMS of an agent around it.
func (c *CA) Take(raw []byte) Result {
	csr, code := c.open(raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	// 39 digits, as an independent implementation of the protocol numbers.
	r := Result{ID: fmt.Sprintf("%d%036d", 100+c.last, c.last), Code: c.code}
	if r.Code == 0 {
		r.Code = code
	}
	if r.Code == 0 && c.Fault() == standin.Denied {
		r.Code = templateDenied
	}
	if r.Code == 0 && c.Fault() != standin.Pending {
		cert, err := c.Issue(csr)
		if err != nil {
			r.Code = badSubject
		}
		r.Certificate = cert
	}
	c.requests[r.ID] = &request{csr: csr, result: r}
	return r
}
