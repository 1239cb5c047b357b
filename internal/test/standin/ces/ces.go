// Package ces is a stand-in for the Certificate Enrollment Web Service of AD CS (MS-WSTEP).
// It is hostile by default: base64 in lines with carriage returns, some of them as character
// references, request numbers of 39 digits, number 0 in issued answers, and namespace
// prefixes of its own.
package ces

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/smallstep/pkcs7"

	"certportal/internal/test/standin"
	"certportal/internal/test/standin/adcs"
	"certportal/internal/test/standin/negotiate"
)

const (
	certificatePath = "/Example-CA_CES_Certificate/service.svc/CES"
	passwordPath    = "/Example-CA_CES_UsernamePassword/service.svc/CES"
	kerberosPath    = "/Example-CA_CES_Kerberos/service.svc/CES"
)

// CA is the stand-in.
type CA struct {
	*adcs.CA

	// Kerberos signs in at [CA.KerberosURL]. It is set before the first request there.
	Kerberos *negotiate.Server

	mu       sync.Mutex
	bare     string // subcode of a fault without detail; empty: none
	status   int    // of an answer that is text; 0: none
	text     string
	noNumber bool
	asked    []string // bodies
}

// Start starts a stand-in until the test ends.
func Start(t testing.TB) *CA {
	t.Helper()
	return start(t, adcs.NewCompany(t))
}

// StartBeside starts another web service in the company of one. It numbers requests of its
// own, so that tests see which of both was asked.
func StartBeside(t testing.TB, other *CA) *CA {
	t.Helper()
	return start(t, other.Company)
}

func start(t testing.TB, company *adcs.Company) *CA {
	t.Helper()
	c := &CA{}
	c.CA = adcs.Start(t, company, func(*adcs.CA) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("POST "+certificatePath, c.byCertificate)
		mux.HandleFunc("POST "+passwordPath, c.byPassword)
		mux.HandleFunc("POST "+kerberosPath, c.byKerberos)
		return mux
	})
	return c
}

// CertificateURL is the address for TLS client certificates.
func (c *CA) CertificateURL() string { return c.URL + certificatePath }

// PasswordURL is the address for a user name and password.
func (c *CA) PasswordURL() string { return c.URL + passwordPath }

// KerberosURL is the address for Kerberos.
func (c *CA) KerberosURL() string { return c.URL + kerberosPath }

// SetFault makes the web server answer with a SOAP fault without detail, as its framework
// does, with this subcode, such as a:InternalServiceFault. Empty ends that.
func (c *CA) SetFault(subcode string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bare = subcode
}

// SetText makes the web server answer with text that is neither SOAP nor a page, and says so
// wrongly, as adcs_python does. Status 0 ends that.
func (c *CA) SetText(status int, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.text = status, text
}

// LoseNumbers makes pending answers carry no number.
func (c *CA) LoseNumbers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noNumber = true
}

// Bodies gives all messages that arrived.
func (c *CA) Bodies() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...)
}

// message is read by local names, unlike the client writes it.
type message struct {
	Action      string `xml:"Header>Action"`
	To          string `xml:"Header>To"`
	MessageID   string `xml:"Header>MessageID"`
	Username    string `xml:"Header>Security>UsernameToken>Username"`
	Password    string `xml:"Header>Security>UsernameToken>Password"`
	Expires     string `xml:"Header>Security>Timestamp>Expires"`
	RequestType string `xml:"Body>RequestSecurityToken>RequestType"`
	Binary      struct {
		ValueType    string `xml:"ValueType,attr"`
		EncodingType string `xml:"EncodingType,attr"`
		Data         string `xml:",chardata"`
	} `xml:"Body>RequestSecurityToken>BinarySecurityToken"`
	RequestID string `xml:"Body>RequestSecurityToken>RequestID"`
}

func (c *CA) byCertificate(w http.ResponseWriter, r *http.Request) {
	c.serve(w, r, certificatePath, func(message) bool { return len(r.TLS.PeerCertificates) > 0 })
}

func (c *CA) byKerberos(w http.ResponseWriter, r *http.Request) {
	if c.Kerberos.SignsIn(w, r) {
		c.serve(w, r, kerberosPath, func(message) bool { return true })
	}
}

func (c *CA) byPassword(w http.ResponseWriter, r *http.Request) {
	c.serve(w, r, passwordPath, func(m message) bool {
		return m.Username == adcs.Username && m.Password == adcs.Password && m.Expires != ""
	})
}

func (c *CA) serve(w http.ResponseWriter, r *http.Request, path string, known func(message) bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.asked = append(c.asked, string(body))
	bare, status, text := c.bare, c.status, c.text
	c.mu.Unlock()
	var m message
	wrong := xml.Unmarshal(body, &m) != nil
	poll := m.RequestType == enrollment+"/QueryTokenStatus"
	if !poll {
		c.Submitted()
	}
	switch {
	case c.Redirects(w, r):
	case wrong || m.Action != enrollment+"/RST/wstep" || m.To != c.URL+path || !strings.HasPrefix(m.MessageID, "urn:uuid:"):
		c.fault(w, "a:ActionNotSupported", "")
	case !known(m) || c.Fault() == standin.Unauthorized:
		// not XML, as the web server answers
		http.Error(w, "<!DOCTYPE html><p>You are not authorized &nbsp;", http.StatusUnauthorized)
	case status != 0:
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, text)
	case bare != "":
		c.fault(w, bare, "")
	case poll:
		c.answer(w, r, c.Look(m.RequestID))
	default:
		c.issue(w, r, m)
	}
}

func (c *CA) issue(w http.ResponseWriter, r *http.Request, m message) {
	der, err := base64.StdEncoding.DecodeString(m.Binary.Data)
	_, plain := x509.ParseCertificateRequest(der)
	want := enrollment + "#PKCS10"
	if plain != nil {
		want = security + "#PKCS7"
	}
	if err != nil || m.Binary.ValueType != want || m.Binary.EncodingType != security+"#base64binary" || m.RequestID != "" {
		c.fault(w, "a:DeserializationFailed", "")
		return
	}
	c.answer(w, r, c.Take(der))
}

func (c *CA) answer(w http.ResponseWriter, r *http.Request, got adcs.Result) {
	switch words := c.Words(got.Code); {
	case got.Code != 0:
		c.fault(w, "", fmt.Sprintf(`<CertificateEnrollmentWSDetail xmlns="%s"><BinaryResponse i:nil="true" xmlns:i="%s"/>`+
			`<ErrorCode>%d</ErrorCode><InvalidRequest>true</InvalidRequest><RequestID>%s</RequestID></CertificateEnrollmentWSDetail>`,
			enrollment, instance, int32(got.Code), got.ID), words.Denied)
	case got.Certificate == nil:
		c.mu.Lock()
		number := got.ID
		if c.noNumber {
			number = "0"
		}
		c.mu.Unlock()
		c.Answer(w, r, http.StatusOK, contentType, c.response(words.Pending, number, nil, fmt.Sprintf(
			`<o:SecurityTokenReference><o:Reference URI="%s"/></o:SecurityTokenReference>`, c.CertificateURL())))
	default:
		c.Answer(w, r, http.StatusOK, contentType, c.response(words.Issued, "0", c.chain(got.Certificate), fmt.Sprintf(
			`<o:BinarySecurityToken ValueType="%s#X509v3" EncodingType="%s#base64binary">%s</o:BinarySecurityToken>`,
			tokenProfile, security, lines(got.Certificate.Raw))))
	}
}

// chain makes the CMS message with all certificates.
func (c *CA) chain(cert *x509.Certificate) []byte {
	raw := append([]byte(nil), cert.Raw...)
	for _, above := range c.Chain {
		raw = append(raw, above.Raw...)
	}
	message, err := pkcs7.DegenerateCertificate(raw)
	if err != nil {
		return nil
	}
	return message
}
