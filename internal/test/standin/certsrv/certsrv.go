// Package certsrv is a stand-in for the web enrolment pages of AD CS, in English, German and
// French. The pages follow what clients of the real ones look for: links, element ids,
// HRESULTs. The words around those are its own.
package certsrv

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"certportal/internal/test/standin"
	"certportal/internal/test/standin/adcs"
	"certportal/internal/test/standin/negotiate"
	"certportal/internal/test/standin/ntlm"
)

const folder = "/certsrv/"

// CA is the stand-in.
type CA struct {
	*adcs.CA

	// Windows signs in by NTLM, with Extended Protection, when it is set before the first
	// request; else the server takes TLS client certificates and passwords.
	Windows *ntlm.Server

	// Kerberos signs in by Kerberos in the place of all others, when it is set before the
	// first request.
	Kerberos *negotiate.Server
}

// Start starts a stand-in until the test ends.
func Start(t testing.TB) *CA {
	t.Helper()
	c := &CA{}
	c.CA = adcs.Start(t, adcs.NewCompany(t), func(*adcs.CA) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("POST "+folder+"certfnsh.asp", c.submit)
		mux.HandleFunc("GET "+folder+"certcarc.asp", c.index)
		mux.HandleFunc("GET "+folder+"certnew.cer", c.certificate)
		mux.HandleFunc("GET "+folder+"certnew.p7b", c.chain)
		return c.known(mux)
	})
	return c
}

// FolderURL is the address of the pages, without the slash at its end.
func (c *CA) FolderURL() string { return c.URL + strings.TrimSuffix(folder, "/") }

// SignInByNTLM makes the server take NTLM only.
func (c *CA) SignInByNTLM() {
	domain, user, _ := strings.Cut(adcs.Username, `\`)
	c.Windows = &ntlm.Server{Domain: domain, User: user, Password: adcs.Password, Host: "127.0.0.1", Certificate: c.TLS}
}

// known lets in the portal's account.
func (c *CA) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.Windows != nil && !c.Windows.SignsIn(w, r) || c.Kerberos != nil && !c.Kerberos.SignsIn(w, r) {
			return
		}
		if r.Method == http.MethodPost {
			c.Submitted()
		}
		if c.Redirects(w, r) {
			return
		}
		name, password, _ := r.BasicAuth()
		signedIn := c.Windows != nil || c.Kerberos != nil || len(r.TLS.PeerCertificates) > 0 || name == adcs.Username && password == adcs.Password
		if !signedIn || c.Fault() == standin.Unauthorized {
			w.Header().Set("WWW-Authenticate", "Negotiate")
			http.Error(w, "<h1>401 - Unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *CA) submit(w http.ResponseWriter, r *http.Request) {
	raw, err := base64.StdEncoding.DecodeString(r.PostFormValue("CertRequest"))
	if err != nil || r.PostFormValue("Mode") != "newreq" || r.PostFormValue("CertAttrib") != "CertificateTemplate:User\r\n" ||
		!strings.HasPrefix(r.UserAgent(), "Mozilla/") {
		c.send(w, r, c.failed(adcs.Result{Code: 0x80070057}))
		return
	}
	got := c.Take(raw)
	switch {
	case got.Code != 0:
		c.send(w, r, c.denied(got))
	case got.Certificate == nil:
		c.send(w, r, c.pending(got))
	default:
		c.send(w, r, c.issued(got))
	}
}

func (c *CA) certificate(w http.ResponseWriter, r *http.Request) {
	got := c.Look(r.URL.Query().Get("ReqID"))
	switch {
	case got.Code != 0:
		c.send(w, r, c.failed(got))
	case got.Certificate == nil:
		c.send(w, r, c.waiting())
	case r.URL.Query().Get("Enc") == "bin":
		c.Answer(w, r, http.StatusOK, "application/pkix-cert", got.Certificate.Raw)
	default:
		c.Answer(w, r, http.StatusOK, "text/html", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: got.Certificate.Raw}))
	}
}

// chain answers in PEM with carriage returns, although DER was asked for.
func (c *CA) chain(w http.ResponseWriter, r *http.Request) {
	var raw []byte
	switch id := r.URL.Query().Get("ReqID"); {
	case id == "CACert" && r.URL.Query().Get("Renewal") == "1":
	case c.Look(id).Certificate != nil:
		raw = append(raw, c.Look(id).Certificate.Raw...)
	default:
		c.send(w, r, c.failed(adcs.Result{Code: 0x80094004}))
		return
	}
	for _, cert := range c.Chain {
		raw = append(raw, cert.Raw...)
	}
	message, err := pkcs7.DegenerateCertificate(raw)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: message})
	c.Answer(w, r, http.StatusOK, "application/x-pkcs7-certificates", []byte(strings.ReplaceAll(string(text), "\n", "\r\n")))
}

func (c *CA) index(w http.ResponseWriter, r *http.Request) {
	c.Answer(w, r, http.StatusOK, "text/html", []byte(fmt.Sprintf(
		"<html><script>\r\n\tvar nRenewals=%d;\r\n\tvar sCaName = \"Stand-in\";</script><body><p id=locPageTitle>CA", 1)))
}

func (c *CA) send(w http.ResponseWriter, r *http.Request, page string) {
	c.Answer(w, r, http.StatusOK, "text/html", []byte(page))
}
