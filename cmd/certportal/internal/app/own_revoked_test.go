package app

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// An own certificate that the records call revoked, as after a restore, makes way
// for another within a minute.
func TestRevokedOwnCertificatesAreReplaced(t *testing.T) {
	environ := fixture.FastCA()
	environ["CERTPORTAL_SCEP_ENABLED"] = "true"
	p, err := openWith(t, t.TempDir(), environ)
	testkit.NoError(t, err)
	own := func() (tls, ra *x509.Certificate) {
		w := httptest.NewRecorder()
		p.scep.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/scep?operation=GetCACert", nil))
		bundle := testkit.Must(pkcs7.Parse(w.Body.Bytes()))(t)
		return p.tls.current.Load().Leaf, bundle.Certificates[0]
	}
	tlsBefore, raBefore := own()
	p.everyMinute(t.Context())
	if tls, ra := own(); !tls.Equal(tlsBefore) || !ra.Equal(raBefore) {
		t.Fatal("certificates that are valid were replaced")
	}
	for _, cert := range []*x509.Certificate{tlsBefore, raBefore} {
		_, err := p.DB.Revoke(t.Context(), enroll.Revocation{
			Serials: []ca.Serial{testkit.Must(ca.SerialOf(cert.SerialNumber))(t)}, Cause: portal.Withdrawn, At: time.Now(),
			Entry: audit.Entry{At: time.Now(), Actor: "ada"},
		})
		testkit.NoError(t, err)
	}
	p.everyMinute(t.Context())
	tls, ra := own()
	if tls.Equal(tlsBefore) {
		t.Error("the portal goes on with a revoked TLS certificate")
	}
	if ra.Equal(raBefore) {
		t.Error("the portal announces a revoked RA")
	}
	testkit.NoError(t, tls.CheckSignatureFrom(p.CA.Folder.Issuing()))
	testkit.NoError(t, ra.CheckSignatureFrom(p.CA.Folder.Issuing()))
}
