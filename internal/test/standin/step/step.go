// Package step is a stand-in for step-ca, for answers that the real one does not give.
package step

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"certportal/internal/test/standin"
)

// Provisioner is the name of the JWK provisioner.
const Provisioner = "certportal"

// CA is the stand-in.
type CA struct {
	*standin.Server
	key jose.JSONWebKey

	mu      sync.Mutex
	used    []string
	revoked map[string]time.Time
}

// Start starts a stand-in until the test ends.
func Start(t testing.TB) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making key of the provisioner: %v", err)
	}
	c := &CA{key: jose.JSONWebKey{Key: key, KeyID: "key-1", Algorithm: "ES256"}, revoked: map[string]time.Time{}}
	c.Server = standin.Start(t, func(*standin.Server) http.Handler { return c.routes() }, nil)
	return c
}

// Key gives the private key of the provisioner as a JWK.
func (c *CA) Key() (string, error) {
	text, err := json.Marshal(c.key)
	return string(text), err
}

func (c *CA) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /1.0/sign", c.sign)
	mux.HandleFunc("POST /1.0/revoke", c.revoke)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, map[string]string{"status": "ok"}) })
	mux.HandleFunc("GET /1.0/roots", func(w http.ResponseWriter, _ *http.Request) { answer(w, 201, crts(c.Chain[1])) })
	mux.HandleFunc("GET /1.0/intermediates", func(w http.ResponseWriter, _ *http.Request) { answer(w, 201, crts(c.Chain[0])) })
	mux.HandleFunc("GET /1.0/provisioners", c.provisioners)
	mux.HandleFunc("GET /1.0/crl", c.crl)
	return mux
}

func (c *CA) provisioners(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("cursor") == "" { // the first page has another one
		answer(w, 200, map[string]any{"nextCursor": "2", "provisioners": []any{map[string]string{"type": "ACME", "name": "acme"}}})
		return
	}
	answer(w, 200, map[string]any{"provisioners": []any{map[string]any{"type": "JWK", "name": Provisioner, "key": c.key.Public()}}})
}

func (c *CA) crl(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	der, err := c.SignCRL(c.revoked)
	if err != nil {
		refuse(w, 500, err.Error())
		return
	}
	w.Write(der)
}

func (c *CA) sign(w http.ResponseWriter, r *http.Request) {
	c.Submitted()
	if c.Redirects(w, r) {
		return
	}
	var body struct{ CSR, OTT, NotAfter string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, 400, "error reading request body")
		return
	}
	block, _ := pem.Decode([]byte(body.CSR))
	if block == nil {
		refuse(w, 400, "missing csr")
		return
	}
	sum := sha256.Sum256(block.Bytes)
	if err := c.accept(body.OTT, "/1.0/sign", base64.RawURLEncoding.EncodeToString(sum[:])); err != nil || c.Fault() == standin.Unauthorized {
		refuse(w, 401, fmt.Sprint("The request lacked necessary authorization to be completed. ", err))
		return
	}
	if c.Fault() == standin.Denied {
		refuse(w, 403, "The request was forbidden by the certificate authority: certificate request does not contain the valid common name")
		return
	}
	cert, err := c.Issue(block.Bytes)
	if err != nil {
		refuse(w, 403, err.Error())
		return
	}
	made, _ := json.Marshal(map[string]any{
		"crt": text(cert), "ca": text(c.Chain[0]), "certChain": []string{text(cert), text(c.Chain[0])},
	})
	c.Answer(w, r, http.StatusCreated, "application/json", made)
}

// accept checks a token, which may be used once.
func (c *CA) accept(token, path, fingerprint string) error {
	parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	payload, err := parsed.Verify(c.key.Public())
	if err != nil {
		return err
	}
	var claims struct {
		Iss, Aud, Sub, JTI string
		Exp, Nbf           int64
		Cnf                map[string]string
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	now := time.Now().Unix()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case claims.Iss != Provisioner, claims.Aud != c.URL+path, claims.Sub == "", claims.JTI == "":
		return errors.New("claims are of another CA")
	case now > claims.Exp+60, now < claims.Nbf-60:
		return errors.New("token expired")
	case fingerprint != "" && claims.Cnf["x5rt#S256"] != fingerprint:
		return errors.New("token is for another request")
	case slices.Contains(c.used, claims.JTI):
		return errors.New("token already used")
	}
	c.used = append(c.used, claims.JTI)
	return nil
}

func (c *CA) revoke(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Serial, OTT string
		Passive     bool
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !body.Passive {
		refuse(w, 400, "error reading request body")
		return
	}
	if err := c.accept(body.OTT, "/1.0/revoke", ""); err != nil {
		refuse(w, 401, err.Error())
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, already := c.revoked[body.Serial]; already {
		refuse(w, 400, "certificate with serial number '"+body.Serial+"' is already revoked")
		return
	}
	c.revoked[body.Serial] = time.Now()
	answer(w, 200, map[string]string{"status": "ok"})
}

func crts(certs ...*x509.Certificate) map[string][]string {
	list := map[string][]string{"crts": {}}
	for _, cert := range certs {
		list["crts"] = append(list["crts"], text(cert))
	}
	return list
}

func text(cert *x509.Certificate) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"status": status, "message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
