package scep_test

import (
	"crypto/x509"
	"net/http"
	"slices"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/scep"
	"certportal/internal/test/testkit"
	testfixture "certportal/internal/test/testkit/fixture"
)

// next makes another CA the one that issues.
func (h *fixture) next() *ca.Hierarchy {
	h.t.Helper()
	successor := testkit.Must(ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: "Example Company", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
	}, h.now()))(h.t)
	h.issuing.Store(testfixture.Issuer(h.t, successor))
	return successor
}

// signedByOneOf reports whether one of these CAs signed a certificate.
func signedByOneOf(cert *x509.Certificate, certs []*x509.Certificate) bool {
	return slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return c.IsCA && cert.CheckSignatureFrom(c) == nil })
}

// Between a change of the issuing CA and the RA under the new one a device can verify both the
// RA and the certificate that it gets with the answer to GetCACert.
func TestCACertificatesAfterAChangeOfTheCA(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	before := h.caCerts()
	next := h.next()

	certs := h.caCerts()
	if !certs[0].Equal(before[0]) || len(certs) != 3 || !certs[1].Equal(h.hierarchy.Issuing) || !certs[2].Equal(next.Issuing) {
		t.Fatalf("%d certificates, want the former RA and both issuing CAs", len(certs))
	}
	if !signedByOneOf(certs[0], certs) {
		t.Error("the RA cannot be verified")
	}
	if cert := h.issue(p, h.first(p, c.Secret)); cert.CheckSignatureFrom(next.Issuing) != nil || !signedByOneOf(cert, certs) {
		t.Error("the certificate cannot be verified")
	}

	if err := h.server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.made++
	after := h.caCerts()
	if len(after) != 2 || !signedByOneOf(after[0], after) || !after[1].Equal(next.Issuing) {
		t.Fatalf("%d certificates, want an RA of the next CA and that CA", len(after))
	}
	// A device that has the former RA is answered.
	if got := statusOf(h.server, enrolTo(h, 1, before)); got != http.StatusOK || h.serials() != 2 {
		t.Errorf("status %d and %d serials for a message to the former RA", got, h.serials())
	}
}

// An RA under the CA that issues is announced, although one of the former CA lives longer.
func TestRAOfTheActiveCAIsPreferred(t *testing.T) {
	h := newFixture(t)
	next := h.next()
	h.config.RA.Validity = 30 * 24 * time.Hour
	s := testkit.Must(scep.New(h.config))(t)
	for range 3 {
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := announced(t, s); !got[0].NotAfter.Before(h.caCerts()[0].NotAfter) || got[0].CheckSignatureFrom(next.Issuing) != nil {
		t.Error("the RA of the former CA is announced")
	}
	if got := h.serials(); got != 1 {
		t.Errorf("%d RAs issued, want 1", got)
	}
}
