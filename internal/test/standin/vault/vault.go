// Package vault is a stand-in for the PKI secrets engine of Vault and OpenBao, with the
// token, AppRole and certificate methods. It is built from their public API documentation.
package vault

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/test/standin"
)

// Names and secrets that the stand-in accepts.
const (
	Role     = "phones"
	RoleID   = "role-id-1"
	SecretID = "secret-id-1"
	CertRole = "certportal"
)

// CA is the stand-in.
type CA struct {
	*standin.Server

	// ClientCertificate is one that the method cert accepts.
	ClientCertificate *tls.Certificate

	mu      sync.Mutex
	tokens  map[string]bool
	logins  int
	renewed int
	ttl     int64
	sealed  bool
	dying   bool
	revoked map[string]int64
	verb    []string // sign or sign-verbatim of each submit
}

// Start starts a stand-in until the test ends.
func Start(t testing.TB) *CA {
	t.Helper()
	c := &CA{tokens: map[string]bool{}, revoked: map[string]int64{}, ttl: 3600}
	certificate, roots := standin.NewClientCertificate(t)
	c.ClientCertificate = certificate
	c.Server = standin.Start(t, func(*standin.Server) http.Handler { return c.routes() }, roots)
	return c
}

// NewToken makes a token that is good.
func (c *CA) NewToken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	token := "hvs." + rand.Text()
	c.tokens[token] = true
	return token
}

// ExpireTokens ends all tokens.
func (c *CA) ExpireTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

// ExpireAfterLookup ends each token after it was looked up once: it is gone when the
// request arrives.
func (c *CA) ExpireAfterLookup(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dying = on
}

// Seal seals or unseals.
func (c *CA) Seal(sealed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed = sealed
}

// SetTTL sets the seconds that tokens have left, of 3600.
func (c *CA) SetTTL(seconds int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ttl = seconds
}

// Counts gives how many logins and renewals there were.
func (c *CA) Counts() (logins, renewals int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logins, c.renewed
}

func (c *CA) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/sys/health", c.health)
	mux.HandleFunc("GET /v1/pki/ca_chain", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text(c.Chain...))) })
	mux.HandleFunc("POST /v1/auth/approle/login", c.appRole)
	mux.HandleFunc("POST /v1/auth/cert/login", c.certificate)
	mux.HandleFunc("GET /v1/auth/token/lookup-self", c.guard(c.lookup))
	mux.HandleFunc("POST /v1/auth/token/renew-self", c.guard(c.renew))
	mux.HandleFunc("POST /v1/sys/capabilities-self", c.guard(c.capabilities))
	mux.HandleFunc("POST /v1/pki/sign-verbatim/"+Role, c.sign)
	mux.HandleFunc("POST /v1/pki/sign/"+Role, c.sign)
	mux.HandleFunc("POST /v1/pki/revoke", c.guard(c.revoke))
	return mux
}

func (c *CA) health(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	status := http.StatusOK
	if c.sealed {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]bool{"initialized": true, "sealed": c.sealed, "standby": false})
}

// guard checks seal and token.
func (c *CA) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		sealed, good := c.sealed, c.tokens[r.Header.Get("X-Vault-Token")]
		c.mu.Unlock()
		switch {
		case sealed:
			refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
		case !good:
			refuse(w, http.StatusForbidden, "permission denied")
		default:
			next(w, r)
		}
	}
}

func (c *CA) logIn(w http.ResponseWriter) {
	token := c.NewToken()
	c.mu.Lock()
	c.logins++
	c.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"auth": map[string]any{"client_token": token, "lease_duration": 3600, "renewable": true}})
}

func (c *CA) appRole(w http.ResponseWriter, r *http.Request) {
	var body map[string]string
	if json.NewDecoder(r.Body).Decode(&body) != nil || body["role_id"] != RoleID || body["secret_id"] != SecretID {
		refuse(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	c.logIn(w)
}

func (c *CA) certificate(w http.ResponseWriter, r *http.Request) {
	var body map[string]string
	if json.NewDecoder(r.Body).Decode(&body) != nil || body["name"] != CertRole || len(r.TLS.PeerCertificates) == 0 {
		refuse(w, http.StatusBadRequest, "invalid certificate or no client certificate supplied")
		return
	}
	c.logIn(w)
}

func (c *CA) lookup(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dying {
		delete(c.tokens, r.Header.Get("X-Vault-Token"))
	}
	answer(w, http.StatusOK, map[string]any{"data": map[string]any{"ttl": c.ttl, "creation_ttl": 3600, "renewable": true}})
}

func (c *CA) renew(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewed, c.ttl = c.renewed+1, 3600
	answer(w, http.StatusOK, map[string]any{"auth": map[string]any{"lease_duration": 3600}})
}

func (c *CA) capabilities(w http.ResponseWriter, r *http.Request) {
	var body struct{ Paths []string }
	json.NewDecoder(r.Body).Decode(&body)
	data := map[string]any{}
	for _, path := range body.Paths {
		data[path] = []string{"deny"}
		if path == "pki/revoke" || path == "pki/sign-verbatim/"+Role || path == "pki/sign/"+Role {
			data[path] = []string{"update"}
		}
	}
	answer(w, http.StatusOK, map[string]any{"data": data})
}

func (c *CA) sign(w http.ResponseWriter, r *http.Request) {
	c.Submitted()
	if c.Redirects(w, r) {
		return
	}
	if c.Fault() == standin.Unauthorized {
		refuse(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	}
	c.guard(func(w http.ResponseWriter, r *http.Request) { c.signed(w, r) })(w, r)
}

func (c *CA) signed(w http.ResponseWriter, r *http.Request) {
	var body struct {
		CSR        string `json:"csr"`
		TTL        string `json:"ttl"`
		CommonName string `json:"common_name"`
		AltNames   string `json:"alt_names"`
		OtherSANs  list   `json:"other_sans"`
		URISANs    list   `json:"uri_sans"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	block, _ := pem.Decode([]byte(body.CSR))
	if err != nil || block == nil || body.TTL == "" || c.Fault() == standin.Denied {
		refuse(w, http.StatusBadRequest, "common name anna not allowed by this role")
		return
	}
	for _, name := range body.URISANs {
		if uri, err := url.Parse(name); err != nil || uri.Scheme == "" {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("the provided URI Subject Alternative Name %q is not a valid URI", name))
			return
		}
	}
	cert, err := c.Issue(block.Bytes)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	c.mu.Lock()
	c.verb = append(c.verb, strings.Join([]string{strings.Split(r.URL.Path, "/")[3], body.CommonName, body.AltNames, strings.Join(body.OtherSANs, " "), strings.Join(body.URISANs, " ")}, " "))
	c.mu.Unlock()
	made, _ := json.Marshal(map[string]any{
		"data": map[string]any{
			"certificate": text(cert), "issuing_ca": text(c.Chain[0]), "ca_chain": []string{text(c.Chain[0]), text(c.Chain[1])},
			"serial_number": "00:11", "expiration": cert.NotAfter.Unix(),
		},
		"warnings": nil,
	})
	c.Answer(w, r, http.StatusOK, "application/json", made)
}

// list is a JSON list, or text that is split at its commas, as OpenBao reads parameters.
type list []string

// UnmarshalJSON implements [json.Unmarshaler].
func (l *list) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*l = strings.Split(text, ",")
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(l))
}

// Signed gives verb and names of each request that was fulfilled.
func (c *CA) Signed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.verb...)
}

func (c *CA) revoke(w http.ResponseWriter, r *http.Request) {
	var body map[string]string
	if json.NewDecoder(r.Body).Decode(&body) != nil || !strings.Contains(body["certificate"], "BEGIN CERTIFICATE") {
		refuse(w, http.StatusBadRequest, "The serial number or certificate to revoke must be provided.")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.revoked[body["certificate"]] == 0 {
		c.revoked[body["certificate"]] = time.Now().Unix()
	}
	answer(w, http.StatusOK, map[string]any{"data": map[string]any{"revocation_time": c.revoked[body["certificate"]]}})
}

func text(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, cert := range certs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return b.String()
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string][]string{"errors": {message}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
