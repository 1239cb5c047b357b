package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
	xocsp "golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/ocsp"
)

// TestC5_LintsAndLibrary checks every kind of answer with zlint and golang.org/x/crypto/ocsp.
func TestC5_LintsAndLibrary(t *testing.T) {
	for _, kind := range []ca.KeyKind{ca.ECP256, ca.RSA2048, ca.ECP384} {
		t.Run(string(kind), func(t *testing.T) {
			issuing := kind
			if kind == ca.ECP384 {
				issuing = ca.ECP256
			}
			b := newBench(t, issuing, func(c *ocsp.Config) { c.Key = kind })
			b.clock.pass(300 * time.Millisecond) // times must still be whole seconds
			good, revoked, unknown := b.issued(), b.issued(), b.user()
			b.revoke(revoked, xocsp.KeyCompromise)
			b.mustRefresh()
			for _, test := range []struct {
				name   string
				cert   *x509.Certificate
				status int
				reason int
				life   time.Duration
			}{
				{"good", good, xocsp.Good, 0, 8 * time.Hour},
				{"revoked", revoked, xocsp.Revoked, xocsp.KeyCompromise, 8 * time.Hour},
				{"unknown", unknown, xocsp.Unknown, 0, 5 * time.Minute},
			} {
				got := b.ask(test.cert)
				if got.Status != test.status || got.RevocationReason != test.reason {
					t.Errorf("%s: got status %d, reason %d", test.name, got.Status, got.RevocationReason)
				}
				if got.ProducedAt.Before(got.ThisUpdate) || !got.ThisUpdate.Equal(noon) || got.NextUpdate.Sub(got.ThisUpdate) != test.life {
					t.Errorf("%s: got %s, %s, %s", test.name, got.ProducedAt, got.ThisUpdate, got.NextUpdate)
				}
				if test.status == xocsp.Revoked && got.RevokedAt.After(got.ThisUpdate) {
					t.Errorf("revoked %s, after %s", got.RevokedAt, got.ThisUpdate)
				}
				if got.Certificate == nil || len(got.Extensions) != 0 || got.ResponderKeyHash == nil {
					t.Errorf("%s: certificate %v, extensions %v, key %x", test.name, got.Certificate, got.Extensions, got.ResponderKeyHash)
				}
				lintAnswer(t, test.name, got)
			}
		})
	}
}

func lintAnswer(t *testing.T, name string, got *xocsp.Response) {
	t.Helper()
	results := zlint.LintOcspResponse(got).Results
	if len(results) == 0 {
		t.Error("zlint has no lint for answers")
	}
	for lintName, result := range results {
		if result.Status > lint.Pass {
			t.Errorf("%s: %s: %s %s", name, lintName, result.Status, result.Details)
		}
	}
}

// opinions is a chain in files, and a responder that runs at the real time.
type opinions struct {
	*bench
	dir, root, issuing string
}

func newOpinions(t *testing.T, kind ca.KeyKind) opinions {
	t.Helper()
	now := time.Now()
	h, err := hierarchy(kind, now)
	if err != nil {
		t.Fatal(err)
	}
	b := newCA(t, h, now)
	b.start()
	dir := t.TempDir()
	return opinions{
		bench: b, dir: dir, root: file(t, dir, "root.pem", ca.PEM(b.h.Root)),
		issuing: file(t, dir, "issuing.pem", ca.PEM(b.h.Issuing, b.h.Root)),
	}
}

// serve starts an HTTP server for the responder and gives its URL.
func (o opinions) serve() string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			o.t.Error(err)
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		_, _ = w.Write(o.Respond(r.Context(), raw).DER)
	}))
	o.t.Cleanup(server.Close)
	return server.URL
}

func TestC5_OpenSSLAgrees(t *testing.T) {
	openssl := program(t, "openssl")
	for _, kind := range []ca.KeyKind{ca.ECP256, ca.RSA2048} {
		t.Run(string(kind), func(t *testing.T) {
			o := newOpinions(t, kind)
			good, revoked, unknown := o.issued(), o.issued(), o.user()
			o.revoke(revoked, xocsp.KeyCompromise)
			o.mustRefresh()
			files := map[string]string{}
			for name, cert := range map[string]*x509.Certificate{"good": good, "revoked": revoked, "unknown": unknown} {
				files[name] = file(t, o.dir, name+".pem", ca.PEM(cert))
			}
			// One request asks for all, by either hash.
			all := []string{"-cert", files["good"], "-cert", files["revoked"], "-sha256", "-cert", files["unknown"], "-sha512", "-cert", files["good"]}
			everything := []string{"good.pem: good", "revoked.pem: revoked", "keyCompromise", "unknown.pem: unknown"}
			for name, test := range map[string]struct{ args, want []string }{
				"nonce":    {all, everything},
				"no nonce": {append([]string{"-no_nonce"}, all...), everything},
				"one":      {[]string{"-no_nonce", "-cert", files["good"]}, everything[:1]},
				"sha256":   {[]string{"-sha256", "-cert", files["revoked"]}, everything[1:3]},
				"sha384":   {[]string{"-no_nonce", "-sha384", "-cert", files["revoked"]}, everything[1:3]},
			} {
				ask := append([]string{"ocsp", "-issuer", o.issuing, "-CAfile", o.root, "-verify_other", o.issuing, "-url", o.serve()}, test.args...)
				out, err := run(t, openssl, ask...)
				if err != nil || !strings.Contains(out, "Response verify OK") || strings.Contains(out, "WARNING") {
					t.Errorf("%s: %v: %s", name, err, out)
				}
				for _, want := range test.want {
					if !strings.Contains(out, want) {
						t.Errorf("%s: no %q in %s", name, want, out)
					}
				}
			}
		})
	}
}

// TestC5_TheRootIsEnough verifies answers, kept ones and such with a nonce, with nothing
// but the root: the answer has the certificate of the issuing CA. GnuTLS does not look
// there, it wants the issuing CA as a trust anchor.
func TestC5_TheRootIsEnough(t *testing.T) {
	openssl := program(t, "openssl")
	for _, kind := range []ca.KeyKind{ca.ECP256, ca.RSA2048} {
		o := newOpinions(t, kind)
		cert := o.issued()
		plain := o.request(cert, crypto.SHA1)
		nonce := draft{ids: [][]byte{singleOf(t, plain)}, extensions: [][]byte{nonced(t, 32)}}.build(t)
		for name, request := range map[string][]byte{"first": plain, "kept": plain, "nonce": nonce} {
			answer := file(t, o.dir, name+".der", o.Respond(t.Context(), request).DER)
			out, err := run(t, openssl, "ocsp", "-respin", answer, "-no_nonce", "-CAfile", o.root)
			if err != nil || !strings.Contains(out, "Response verify OK") {
				t.Errorf("%s, %s: openssl: %v: %s", kind, name, err, out)
			}
		}
	}
}

func TestC5_GnuTLSAgrees(t *testing.T) {
	ocsptool := program(t, "ocsptool")
	for _, kind := range []ca.KeyKind{ca.ECP256, ca.RSA2048} {
		o := newOpinions(t, kind)
		cert := o.issued()
		o.revoke(cert, xocsp.Superseded)
		o.mustRefresh()
		leaf := file(t, o.dir, "leaf.pem", ca.PEM(cert))
		issuing := file(t, o.dir, "signer.pem", ca.PEM(o.h.Issuing))
		answer := filepath.Join(o.dir, "answer.der")
		out, err := run(t, ocsptool, "--ask="+o.serve(), "--nonce", "--load-issuer", issuing, "--load-cert", leaf,
			"--load-trust", issuing, "--outder", "--outfile", answer)
		if err != nil || !strings.Contains(out, "Success") {
			t.Errorf("%s: asking: %v: %s", kind, err, out)
		}
		out, err = run(t, ocsptool, "--verify-response", "--load-trust", issuing, "--inder", "--load-response", answer)
		if err != nil || !strings.Contains(out, "Verifying OCSP Response: Success") {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
		out, err = run(t, ocsptool, "--response-info", "--inder", "--load-response", answer)
		if err != nil || !strings.Contains(out, "Certificate Status: revoked") {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
	}
}

// TestC5_SeveralInOrder checks that an answer repeats every CertID unchanged, in order.
func TestC5_SeveralInOrder(t *testing.T) {
	b := newBench(t, ca.ECP256)
	var certs []*x509.Certificate
	for i := range 5 {
		certs = append(certs, b.issued())
		if i%2 == 1 {
			b.revoke(certs[i], i)
		}
	}
	b.mustRefresh()
	var ids [][]byte
	for i, cert := range certs {
		ids = append(ids, singleOf(t, b.request(cert, []crypto.Hash{crypto.SHA1, crypto.SHA256}[i%2])))
	}
	request := draft{ids: ids, extensions: [][]byte{nonced(t, 32)}}.build(t)
	got := b.Respond(t.Context(), request)
	if !got.NextUpdate.IsZero() {
		t.Error("an answer with a nonce may be kept")
	}
	at := 0
	for i, id := range ids {
		_, certID, _ := bytes.Cut(id, id[:2]) // without the SEQUENCE around
		next := bytes.Index(got.DER[at:], certID)
		if next < 0 {
			t.Fatalf("id %d is not in the answer, or not behind the one before", i)
		}
		at += next + len(certID)
	}
	if !bytes.Contains(got.DER[at:], bytes.Repeat([]byte{7}, 32)) {
		t.Error("the nonce is not repeated")
	}
	for _, cert := range certs {
		if answer := b.read(got.DER, cert); (answer.Status == xocsp.Revoked) != (answer.RevocationReason > 0) {
			t.Errorf("got status %d, reason %d", answer.Status, answer.RevocationReason)
		}
	}
	without := b.Respond(t.Context(), draft{ids: ids}.build(t))
	if without.NextUpdate.IsZero() || bytes.Contains(without.DER, []byte(nonceOID)) {
		t.Errorf("without a nonce: until %s", without.NextUpdate)
	}
}

// singleOf extracts the only Request of an OCSPRequest.
func singleOf(t testing.TB, request []byte) []byte {
	t.Helper()
	req, err := ocsp.ParseRequest(request)
	if err != nil || len(req.IDs) != 1 {
		t.Fatal(err)
	}
	return request[6:] // three SEQUENCEs around it, all short
}

// TestC5_NonceIsRepeated checks that the nonce is in the responseExtensions only.
func TestC5_NonceIsRepeated(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.issued()
	plain := b.request(cert, crypto.SHA1)
	for _, octets := range []int{1, 16, 32, 128} {
		request := draft{ids: [][]byte{singleOf(t, plain)}, extensions: [][]byte{nonced(t, octets)}}.build(t)
		first, second := b.Respond(t.Context(), request), b.Respond(t.Context(), request)
		if bytes.Equal(first.DER, second.DER) {
			t.Errorf("nonce of %d: the same answer twice", octets)
		}
		if !bytes.Contains(first.DER, nonced(t, octets)) {
			t.Errorf("nonce of %d: is not in %x", octets, first.DER)
		}
		if got := b.read(first.DER, cert); len(got.Extensions) != 0 {
			t.Errorf("nonce of %d: the single answer has extensions %v", octets, got.Extensions)
		}
	}
	for _, octets := range []int{0, 129} {
		request := draft{ids: [][]byte{singleOf(t, plain)}, extensions: [][]byte{nonced(t, octets)}}.build(t)
		wantRefusal(t, "nonce", b.Respond(t.Context(), request), malformed)
	}
	if got := b.Health().Kept; got != 1 {
		t.Errorf("got %d certificates in memory, want the one", got)
	}
}
