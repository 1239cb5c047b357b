package scep_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/smallstep/scep"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

func TestCapabilities(t *testing.T) {
	h := newFixture(t)
	status, body := h.get("GetCACaps")
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	got := strings.Fields(string(body))
	for _, want := range []string{"AES", "SHA-256", "POSTPKIOperation", "Renewal", "SCEPStandard"} {
		if !slices.Contains(got, want) {
			t.Errorf("%v lacks %s", got, want)
		}
	}
	for _, never := range []string{"SHA-1", "DES3", "DES", "GetNextCACert"} {
		if slices.Contains(got, never) {
			t.Errorf("%v offers %s", got, never)
		}
	}
}

func TestCACertificates(t *testing.T) {
	h := newFixture(t)
	certs := h.caCerts()
	if len(certs) != 2 || !certs[1].Equal(h.hierarchy.Issuing) {
		t.Fatalf("%d certificates, want RA and issuing CA", len(certs))
	}
	ra := certs[0]
	if err := ra.CheckSignatureFrom(h.hierarchy.Issuing); err != nil {
		t.Error(err)
	}
	if key, ok := ra.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || key.Equal(h.hierarchy.Issuing.PublicKey) {
		t.Error("the RA has the key of the CA")
	}
	if ra.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(ra.ExtKeyUsage) != 0 ||
		len(ra.UnknownExtKeyUsage) != 1 || ra.IsCA {
		t.Errorf("usage %b, extended %v and %v, CA %v", ra.KeyUsage, ra.ExtKeyUsage, ra.UnknownExtKeyUsage, ra.IsCA)
	}
}

func TestFirstRequestGetsACertificate(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	cert := h.issue(p, h.first(p, c.Secret))
	if err := cert.CheckSignatureFrom(h.hierarchy.Issuing); err != nil {
		t.Error(err)
	}
	if !p.key.PublicKey.Equal(cert.PublicKey) || cert.Subject.CommonName != h.anna.UPN {
		t.Errorf("certificate of %s with another key", cert.Subject)
	}
	d := testkit.Must(h.registrar.Device(t.Context(), h.anna.ID, c.Device.ID))(t)
	if !bytes.Equal(d.Certificate.DER, cert.Raw) || d.Certificate.Status != portal.Issued || d.Certificate.Delivered.IsZero() {
		t.Errorf("stored: status %s, delivered %v", d.Certificate.Status, d.Certificate.Delivered)
	}
	var got []audit.Action
	for _, e := range h.entries()[2+2*h.made:] {
		got = append(got, e.Action)
	}
	want := []audit.Action{audit.ChallengeMade, audit.CertificateReserved, audit.CertificateIssued}
	if !slices.Equal(got, want) {
		t.Errorf("ledger %v, want %v", got, want)
	}
	// There is no pickup, so the sweep finds none that expired.
	h.pass(time.Hour)
	if err := h.registrar.Sweep(t.Context(), h.registrar.Stale()); err != nil {
		t.Fatal(err)
	}
	d = testkit.Must(h.registrar.Device(t.Context(), h.anna.ID, c.Device.ID))(t)
	if d.Certificate.Status != portal.Issued {
		t.Errorf("status %s after the sweep", d.Certificate.Status)
	}
}

// A device with an elliptic curve key, to which no response can be encrypted, signs with
// a second key.
func TestEllipticCurveKeys(t *testing.T) {
	h := newFixture(t)
	for n, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		t.Run(curve.Params().Name, func(t *testing.T) {
			key := testkit.Must(ecdsa.GenerateKey(curve, rand.Reader))(t)
			p, c := newPhone(t, n), h.challenge(h.anna)
			cert := h.issue(p, h.message(p, wire.PKCSReq, csr(t, key, c.Secret, x509.CertificateRequest{})))
			if !key.PublicKey.Equal(cert.PublicKey) {
				t.Error("certificate for another key")
			}
		})
	}
}

func TestRenewal(t *testing.T) {
	h := newRenewingFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	p.signer = h.issue(p, h.first(p, c.Secret))
	next := newPhone(t, 1)
	first := h.message(p, wire.RenewalReq, csr(t, next.key, "", x509.CertificateRequest{}))
	h.denied(p, first, wire.BadRequest, string(portal.RenewEarly))
	h.pass(renewable)
	cert := h.issue(p, first)
	if !next.key.PublicKey.Equal(cert.PublicKey) || cert.Subject.CommonName != h.anna.UPN {
		t.Errorf("certificate of %s", cert.Subject)
	}
	devices := testkit.Must(h.registrar.Devices(t.Context(), h.anna.ID))(t)
	if len(devices) != 1 || !bytes.Equal(devices[0].Certificate.DER, cert.Raw) {
		t.Fatalf("%d devices, want the one with the new certificate", len(devices))
	}
	// The old certificate stays valid, but cannot be renewed twice.
	third := newPhone(t, 2)
	again := h.message(p, wire.RenewalReq, csr(t, third.key, "", x509.CertificateRequest{}))
	h.denied(p, again, wire.BadRequest, portal.HolderRenewed)
	if got := h.count(audit.CertificateRevoked); got != 0 {
		t.Errorf("%d certificates revoked while both are to work, want none", got)
	}
	// Its time comes as for the first one, which has run out by then.
	next.signer = cert
	last := h.message(next, wire.RenewalReq, csr(t, third.key, "", x509.CertificateRequest{}))
	h.denied(next, last, wire.BadRequest, string(portal.RenewEarly))
	h.pass(renewable)
	h.issue(next, last)
	h.denied(p, again, wire.BadRequest, portal.HolderEnded)
	// Removing the device revokes all of its certificates.
	if err := h.registrar.Remove(t.Context(), h.byPerson(h.anna), c.Device.ID); err != nil {
		t.Fatal(err)
	}
	if got := h.count(audit.CertificateRevoked); got != 3 {
		t.Errorf("%d certificates revoked with the device, want all 3", got)
	}
}

// The sweep revokes the old certificate at the end of the overlap.
func TestA15_RenewedCertificateEndsWithTheOverlap(t *testing.T) {
	h := newRenewingFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	p.signer = h.issue(p, h.first(p, c.Secret))
	next := newPhone(t, 1)
	h.pass(renewable)
	h.issue(p, h.message(p, wire.RenewalReq, csr(t, next.key, "", x509.CertificateRequest{})))
	h.pass(h.overlap + time.Second)
	if err := h.registrar.Sweep(t.Context(), h.registrar.Stale()); err != nil {
		t.Fatal(err)
	}
	if got := h.count(audit.CertificateRevoked); got != 1 {
		t.Errorf("%d certificates revoked after the overlap, want the old one", got)
	}
	h.denied(p, h.message(p, wire.RenewalReq, csr(t, newPhone(t, 2).key, "", x509.CertificateRequest{})),
		wire.BadRequest, portal.HolderEnded)
}

// Enrolling with the next profile replaces the device's certificate.
func TestNewChallengeForAKnownDevice(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	p.signer = h.issue(p, h.first(p, c.Secret))
	again := testkit.Must(h.registrar.NewChallenge(t.Context(), enroll.Request{
		By: h.byPerson(h.anna), Device: c.Device.ID, PickupKey: h.key,
	}))(t)
	other := newPhone(t, 1)
	h.issue(other, h.first(other, again.Secret))
	// The first certificate works on for a while, and gets no successor.
	m := h.message(p, wire.RenewalReq, csr(t, rsaKey(t, 2), "", x509.CertificateRequest{}))
	h.denied(p, m, wire.BadRequest, string(portal.RenewEarly))
	h.pass(8 * 24 * time.Hour)
	h.denied(p, h.message(p, wire.RenewalReq, csr(t, rsaKey(t, 3), "", x509.CertificateRequest{})), wire.BadRequest, portal.HolderEnded)
}

// Replicas share their RAs: one can decrypt what a device encrypted to the other's RA.
func TestReplicasShareAgents(t *testing.T) {
	h := newFixture(t)
	one := h.caCerts()[0]
	h.server = h.replica()
	if got := h.serials(); got != 0 {
		t.Errorf("the second replica made %d certificates", got)
	}
	// After two thirds of the validity there is a new RA, and the old key still decrypts.
	h.pass(70 * 24 * time.Hour)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	m := h.first(p, c.Secret)
	fresh := h.replica()
	if got := h.serials(); got != 1 {
		t.Errorf("%d RAs issued, want 1", got)
	}
	if two := h.caCerts()[0]; !two.Equal(one) {
		t.Fatal("the first replica serves the new RA without a reload")
	}
	if err := fresh.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.issue(p, m)
}

func TestServerRefusesHTTP(t *testing.T) {
	h := newFixture(t)
	for _, tt := range []struct {
		name, method, query string
		body                []byte
		want                int
	}{
		{"no operation", "GET", "", nil, http.StatusBadRequest},
		{"two operations", "GET", "?operation=GetCACaps&operation=GetCACert", nil, http.StatusBadRequest},
		{"unknown operation", "GET", "?operation=GetNextCACert", nil, http.StatusBadRequest},
		{"message by GET", "GET", "?operation=PKIOperation&message=AAAA", nil, http.StatusMethodNotAllowed},
		{"certificates by POST", "POST", "?operation=GetCACert", nil, http.StatusMethodNotAllowed},
		{"empty message", "POST", "?operation=PKIOperation", nil, http.StatusBadRequest},
		{"noise", "POST", "?operation=PKIOperation", []byte("noise"), http.StatusBadRequest},
		{"nested deep", "POST", "?operation=PKIOperation", bytes.Repeat([]byte{0x30, 0x80}, 30_000), http.StatusBadRequest},
		{"too large", "POST", "?operation=PKIOperation", make([]byte, 64<<10+1), http.StatusRequestEntityTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := testkit.Must(http.NewRequestWithContext(t.Context(), tt.method, h.url+tt.query, bytes.NewReader(tt.body)))(t)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.want {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.want)
			}
		})
	}
	if got := h.serials(); got != 0 {
		t.Errorf("%d serials", got)
	}
}
