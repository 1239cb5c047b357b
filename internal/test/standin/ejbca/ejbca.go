// Package ejbca is a stand-in for the REST interface of EJBCA, built from its public
// OpenAPI description.
package ejbca

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"certportal/internal/test/standin"
)

// Names of the CA and its profiles.
const (
	Authority = "Phones"
	Profile   = "PhoneUser"
	EndEntity = "PhoneEntity"

	subject = "CN=Stand-in Issuing CA"
)

// CA is the stand-in.
type CA struct {
	*standin.Server

	// ClientCertificate is the one that the stand-in knows.
	ClientCertificate *tls.Certificate

	mu       sync.Mutex
	entities map[string]*entity // by username
	requests []*entity          // that wait or waited, by id - 1
	revoked  map[string]string  // reason by serial number
	approval bool               // of revocations
	noSearch bool
	twice    bool
}

type entity struct {
	username, password string
	csr                []byte
	cert               *x509.Certificate
	approved, rejected bool
}

// Start starts a stand-in until the test ends.
func Start(t testing.TB) *CA {
	t.Helper()
	c := &CA{entities: map[string]*entity{}, revoked: map[string]string{}}
	certificate, roots := standin.NewClientCertificate(t)
	c.ClientCertificate = certificate
	c.Server = standin.Start(t, func(*standin.Server) http.Handler { return c.routes() }, roots)
	return c
}

// Decide approves or rejects all requests that wait.
func (c *CA) Decide(approve bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.requests {
		e.approved, e.rejected = approve, !approve
	}
}

// SetCommunity takes the search away, as in the Community edition.
func (c *CA) SetCommunity(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noSearch = on
}

// SetTwice encodes certificates in base64 twice, as some versions do.
func (c *CA) SetTwice(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.twice = on
}

// SetRevocationApproval lets revocations wait.
func (c *CA) SetRevocationApproval(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.approval = on
}

// Reason gives the reason with which a serial number, in hexadecimal, was revoked.
func (c *CA) Reason(serial string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revoked[serial]
}

func (c *CA) routes() http.Handler {
	const prefix = "/ejbca/ejbca-rest-api/v1"
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+prefix+"/certificate/pkcs10enroll", c.enroll)
	mux.HandleFunc("POST "+prefix+"/certificate/{id}/finalize", c.guard(c.finalize))
	mux.HandleFunc("POST "+prefix+"/certificate/search", c.guard(c.search))
	mux.HandleFunc("PUT "+prefix+"/certificate/{issuer}/{serial}/revoke", c.guard(c.revoke))
	mux.HandleFunc("GET "+prefix+"/certificate/{issuer}/{serial}/revocationstatus", c.guard(c.status))
	mux.HandleFunc("GET "+prefix+"/ca", c.guard(c.authorities))
	mux.HandleFunc("GET "+prefix+"/ca/{subject}/certificate/download", c.guard(c.download))
	return mux
}

func (c *CA) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 || c.Fault() == standin.Unauthorized {
			refuse(w, http.StatusForbidden, "Not authorized to resource /ra_functionality.")
			return
		}
		next(w, r)
	}
}

func (c *CA) enroll(w http.ResponseWriter, r *http.Request) {
	c.Submitted()
	if c.Redirects(w, r) {
		return
	}
	c.guard(c.enrollAllowed)(w, r)
}

func (c *CA) enrollAllowed(w http.ResponseWriter, r *http.Request) {
	var body struct {
		CSR        string `json:"certificate_request"`
		Profile    string `json:"certificate_profile_name"`
		EndEntity  string `json:"end_entity_profile_name"`
		Authority  string `json:"certificate_authority_name"`
		Username   string `json:"username"`
		Password   string `json:"password"`
		WithIssuer bool   `json:"include_chain"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	block, _ := pem.Decode([]byte(body.CSR))
	known := body.Profile == Profile && body.EndEntity == EndEntity && body.Authority == Authority
	if block == nil || !known || len(body.Password) < 32 || !body.WithIssuer || c.Fault() == standin.Denied {
		refuse(w, http.StatusBadRequest, "User DN has values that the profile does not allow")
		return
	}
	e := &entity{username: body.Username, password: body.Password, csr: block.Bytes}
	c.mu.Lock()
	c.entities[e.username] = e
	if c.Fault() == standin.Pending {
		c.requests = append(c.requests, e)
		id := len(c.requests)
		c.mu.Unlock()
		waits(w, id)
		return
	}
	c.mu.Unlock()
	c.issue(w, r, e)
}

func waits(w http.ResponseWriter, id int) {
	answer(w, http.StatusAccepted, map[string]any{"status_code": 202, "info_message": "The request must be approved", "request_id": id})
}

func (c *CA) issue(w http.ResponseWriter, r *http.Request, e *entity) {
	cert, err := c.Issue(e.csr)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	c.mu.Lock()
	e.cert = cert
	made, _ := json.Marshal(map[string]any{
		"certificate": c.encode(cert), "serial_number": fmt.Sprintf("%X", cert.SerialNumber), "response_format": "DER",
		"certificate_chain": []string{c.encode(c.Chain[0]), c.encode(c.Chain[1])},
	})
	c.mu.Unlock()
	c.Answer(w, r, http.StatusCreated, "application/json", made)
}

func (c *CA) encode(cert *x509.Certificate) string {
	text := base64.StdEncoding.EncodeToString(cert.Raw)
	if c.twice {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return text
}

func (c *CA) finalize(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Format   string `json:"response_format"`
		Password string `json:"password"`
	}
	json.NewDecoder(r.Body).Decode(&body)
	id, err := strconv.Atoi(r.PathValue("id"))
	c.mu.Lock()
	if err != nil || id < 1 || id > len(c.requests) {
		c.mu.Unlock()
		refuse(w, http.StatusBadRequest, "Could not find request")
		return
	}
	e := c.requests[id-1]
	approved, rejected, generated := e.approved, e.rejected, e.cert != nil
	c.mu.Unlock()
	switch {
	case body.Password != e.password, generated: // a user whose certificate was made has another status
		refuse(w, http.StatusForbidden, "Got request with status GENERATED, NEW, FAILED or INPROCESS required")
	case rejected:
		refuse(w, http.StatusBadRequest, "Request has been rejected")
	case !approved:
		waits(w, id)
	default:
		c.issue(w, r, e)
	}
}

func (c *CA) search(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Max      int                 `json:"max_number_of_results"`
		Criteria []map[string]string `json:"criteria"`
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch err := json.NewDecoder(r.Body).Decode(&body); {
	case c.noSearch:
		http.NotFound(w, r)
		return
	case err != nil, body.Max < 1, len(body.Criteria) != 1, body.Criteria[0]["operation"] != "EQUAL", body.Criteria[0]["property"] != "QUERY":
		refuse(w, http.StatusBadRequest, "Invalid criteria")
		return
	}
	found := []map[string]string{}
	if e := c.entities[body.Criteria[0]["value"]]; e != nil && e.cert != nil {
		found = append(found, map[string]string{"certificate": c.encode(e.cert), "response_format": "DER"})
	}
	answer(w, http.StatusOK, map[string]any{"certificates": found, "more_results": false})
}

func (c *CA) revoke(w http.ResponseWriter, r *http.Request) {
	serial := r.PathValue("serial")
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.PathValue("issuer") != subject:
		refuse(w, http.StatusNotFound, "CA does not exist")
	case c.revoked[serial] != "":
		refuse(w, http.StatusConflict, "Certificate is already revoked")
	case c.approval:
		waits(w, 1)
	default:
		c.revoked[serial] = r.URL.Query().Get("reason")
		answer(w, http.StatusOK, map[string]any{"revoked": true, "serial_number": serial, "message": "Successfully revoked"})
	}
}

func (c *CA) status(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"revoked": c.revoked[r.PathValue("serial")] != ""})
}

func (c *CA) authorities(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"certificate_authorities": []map[string]any{
		{"id": 1, "name": "ManagementCA", "subject_dn": "CN=ManagementCA"},
		{"id": -2, "name": Authority, "subject_dn": subject},
	}})
}

func (c *CA) download(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("subject") != subject {
		refuse(w, http.StatusNotFound, "CA does not exist")
		return
	}
	for _, cert := range c.Chain {
		fmt.Fprintf(w, "Subject: %s\n", cert.Subject)
		pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"error_code": status, "error_message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
