package web_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web"
)

// newResponder answers OCSP from the records of the portal.
func (p *testPortal) newResponder(h *ca.Hierarchy, log *slog.Logger) *ocsp.Responder {
	p.t.Helper()
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := ocsp.New(ocsp.Config{
		Store: p.db, Issuing: h.Issuing, Now: p.clock.Now, Log: log,
		Certify: func(_ context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
			prepared, err := issuer.PrepareOwn(ca.ResponderConfig{Name: "Certificate status"}, key, p.clock.Now())
			if err != nil {
				return nil, err
			}
			return issuer.Sign(prepared)
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := r.Refresh(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.responder = r
	return r
}

// someCertificate is that of a device that anna enrols.
func (p *testPortal) someCertificate() *x509.Certificate {
	p.t.Helper()
	p.signedIn("anna", iPhone).enrol("Anna's iPhone", "ios")
	devices, err := p.db.Devices(p.t.Context(), "id-of-anna")
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(devices[0].Certificate.DER)
	if err != nil {
		p.t.Fatal(err)
	}
	return cert
}

func (p *testPortal) question(cert *x509.Certificate) []byte {
	p.t.Helper()
	raw, err := xocsp.CreateRequest(cert, p.issuing, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return raw
}

// withNonce is the same question with a nonce: the request begins with two lengths.
func withNonce(t testing.TB, raw []byte) []byte {
	t.Helper()
	type extension struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}
	var request struct {
		TBS struct {
			List       asn1.RawValue
			Extensions []extension `asn1:"explicit,optional,tag:2"`
		}
	}
	if _, err := asn1.Unmarshal(raw, &request); err != nil {
		t.Fatal(err)
	}
	nonce := append([]byte{4, 16}, bytes.Repeat([]byte{7}, 16)...)
	request.TBS.Extensions = []extension{{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, nonce}}
	out, err := asn1.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (p *testPortal) status(t *testing.T, got answer, cert *x509.Certificate) *xocsp.Response {
	t.Helper()
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/ocsp-response" {
		t.Fatalf("got %d, %q", got.status, got.header.Get("Content-Type"))
	}
	read, err := xocsp.ParseResponseForCert(got.body, cert, p.issuing)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// TestC5_OverHTTP asks in every way that clients have, on both sides.
func TestC5_OverHTTP(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	cert := p.someCertificate()
	raw := p.question(cert)
	text := base64.StdEncoding.EncodeToString(raw)
	for side, asking := range map[string]*browser{"plain": p.onPlain(), "https": p.browser(linux)} {
		for name, path := range map[string]string{
			"plain": "/ocsp/" + text, "percent": "/ocsp/" + url.QueryEscape(text), "double slash": "/ocsp//" + text,
			"slashes in percent": "/ocsp/" + strings.ReplaceAll(text, "/", "%2F"), "newline": "/ocsp/" + url.QueryEscape(text+"\n"),
			"base64url": "/ocsp/" + base64.RawURLEncoding.EncodeToString(raw),
		} {
			got := asking.get(path)
			if read := p.status(t, got, cert); read.Status != xocsp.Good {
				t.Errorf("%s, %s: got %d", side, name, read.Status)
			}
			head := asking.do("HEAD", path, nil)
			if head.status != 200 || len(head.body) != 0 || head.header.Get("ETag") != got.header.Get("ETag") {
				t.Errorf("%s, %s: HEAD: got %d, %q", side, name, head.status, head.header.Get("ETag"))
			}
		}
		for _, path := range []string{"/ocsp", "/ocsp/"} {
			got := asking.do("POST", path, bytes.NewReader(raw), "Content-Type", "application/ocsp-request")
			if read := p.status(t, got, cert); read.Status != xocsp.Good {
				t.Errorf("%s, POST %s: got %d", side, path, read.Status)
			}
			if keep := got.header.Get("Cache-Control"); keep != "no-store" || got.header.Get("ETag") != "" {
				t.Errorf("%s, POST: Cache-Control %q, ETag %q", side, keep, got.header.Get("ETag"))
			}
		}
		for _, path := range []string{"/ocsp", "/ocsp/", "/ocsp/x", "/ocsp/%00", "/ocsp/" + strings.Repeat("A", 8000)} {
			got := asking.get(path)
			if got.status != 200 || !bytes.Equal(got.body, xocsp.MalformedRequestErrorResponse) || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: got %d, %x", side, path, got.status, got.body)
			}
		}
		if got := asking.do("PUT", "/ocsp", bytes.NewReader(raw)); got.status != 405 || got.header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: PUT: got %d, %q", side, got.status, got.header.Get("Allow"))
		}
		if got := asking.get("/ocspx"); got.header.Get("Content-Type") == "application/ocsp-response" {
			t.Errorf("%s: /ocspx is answered", side)
		}
	}
}

// TestC5_Caching says what may be kept and for how long (RFC 5019 section 6).
func TestC5_Caching(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	cert := p.someCertificate()
	raw := p.question(cert)
	path := "/ocsp/" + url.QueryEscape(base64.StdEncoding.EncodeToString(raw))
	plain := p.onPlain()
	got := plain.get(path)
	read := p.status(t, got, cert)
	for name, want := range map[string]string{
		"Cache-Control": "public, no-transform, must-revalidate, max-age=60",
		"Last-Modified": read.ThisUpdate.Format(http.TimeFormat),
		"Expires":       read.NextUpdate.Format(http.TimeFormat),
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.header.Get(name), want)
		}
	}
	tag := got.header.Get("ETag")
	if again := plain.get(path, "If-None-Match", tag); again.status != 304 || len(again.body) != 0 || again.header.Get("ETag") != tag {
		t.Errorf("known answer: got %d", again.status)
	}
	p.clock.Advance(read.NextUpdate.Sub(p.clock.Now()) - 10*time.Second)
	if keep := plain.get(path).header.Get("Cache-Control"); keep != "public, no-transform, must-revalidate, max-age=10" {
		t.Errorf("ten seconds before its end: got %q", keep)
	}
	nonce := plain.get("/ocsp/" + url.QueryEscape(base64.StdEncoding.EncodeToString(withNonce(t, raw))))
	if p.status(t, nonce, cert); nonce.header.Get("Cache-Control") != "no-store" || nonce.header.Get("ETag") != "" {
		t.Errorf("with a nonce: Cache-Control %q, ETag %q", nonce.header.Get("Cache-Control"), nonce.header.Get("ETag"))
	}
}

// TestA12_RevokedInTheRecords revokes what a GET was answered about.
func TestA12_RevokedInTheRecords(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	cert := p.someCertificate()
	path := "/ocsp/" + url.QueryEscape(base64.StdEncoding.EncodeToString(p.question(cert)))
	if got := p.status(t, p.onPlain().get(path), cert); got.Status != xocsp.Good {
		t.Fatalf("got %d", got.Status)
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.db.Revoke(t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Lost, At: p.clock.Now(),
		Entry: audit.Entry{At: p.clock.Now(), Actor: "id-of-anna", Role: "employee"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.responder.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.status(t, p.onPlain().get(path), cert); got.Status != xocsp.Revoked || got.RevocationReason != xocsp.KeyCompromise {
		t.Errorf("got %d, reason %d", got.Status, got.RevocationReason)
	}
}

// TestA17_OCSPBodies bounds what is read, whether its length is announced or not.
func TestA17_OCSPBodies(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	for name, body := range map[string]io.Reader{
		"announced": bytes.NewReader(make([]byte, ocsp.MaxRequest+1)),
		"chunked":   io.LimitReader(zeros{}, 1<<30),
	} {
		// A client that is still sending may meet the closed connection before the answer.
		w := httptest.NewRecorder()
		p.server.PlainHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/ocsp", body))
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %d", name, w.Code)
		}
	}
	w := httptest.NewRecorder()
	p.server.PlainHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/ocsp", bytes.NewReader(make([]byte, ocsp.MaxRequest))))
	if w.Code != http.StatusOK || w.Body.String() != string(xocsp.MalformedRequestErrorResponse) {
		t.Errorf("at the bound: got %d, %x", w.Code, w.Body)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestA17_OCSPIsLean asks a thousand times from one address: nothing is logged,
// limited, or set.
func TestA17_OCSPIsLean(t *testing.T) {
	t.Parallel()
	served := 0
	p := newPortal(t, func(c *web.Config) {
		c.Limits.Requests, c.Limits.Services = 10, 10
		c.Served = func(secure bool, status int) {
			if !secure && status == http.StatusOK {
				served++
			}
		}
	})
	before := len(p.log.String())
	for range 1000 {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/ocsp", strings.NewReader("nonsense"))
		r.Header.Set("Cookie", sessionCookie+"=x")
		p.server.PlainHandler().ServeHTTP(w, r)
		if w.Code != http.StatusOK || len(w.Header().Values("Set-Cookie")) != 0 {
			t.Fatalf("got %d, %q", w.Code, w.Header().Values("Set-Cookie"))
		}
	}
	if got := p.log.String()[before:]; got != "" {
		t.Errorf("got log %s", got)
	}
	if served != 1000 {
		t.Errorf("got %d counted", served)
	}
}

func TestWithoutOCSP(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) { c.OCSP = nil })
	if got := p.onPlain().do("POST", "/ocsp", strings.NewReader("x")); got.status != http.StatusNotFound {
		t.Errorf("got %d", got.status)
	}
}
