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
)

func TestCapabilities(t *testing.T) {
	h := newHouse(t)
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
	h := newHouse(t)
	certs := h.caCerts()
	if len(certs) != 2 || !certs[1].Equal(h.hierarchy.Issuing) {
		t.Fatalf("%d certificates, want agent and issuing CA", len(certs))
	}
	agent := certs[0]
	if err := agent.CheckSignatureFrom(h.hierarchy.Issuing); err != nil {
		t.Error(err)
	}
	if key, ok := agent.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || key.Equal(h.hierarchy.Issuing.PublicKey) {
		t.Error("the agent has the key of the CA")
	}
	if agent.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(agent.ExtKeyUsage) != 0 ||
		len(agent.UnknownExtKeyUsage) != 1 || agent.IsCA {
		t.Errorf("usage %b, extended %v and %v, CA %v", agent.KeyUsage, agent.ExtKeyUsage, agent.UnknownExtKeyUsage, agent.IsCA)
	}
}

func TestFirstRequestGetsACertificate(t *testing.T) {
	h := newHouse(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	cert := h.issue(p, h.first(p, c.Secret))
	if err := cert.CheckSignatureFrom(h.hierarchy.Issuing); err != nil {
		t.Error(err)
	}
	if !p.key.PublicKey.Equal(cert.PublicKey) || cert.Subject.CommonName != h.anna.UPN {
		t.Errorf("certificate of %s with another key", cert.Subject)
	}
	d := must[portal.Device](t)(h.registrar.Device(t.Context(), h.anna.ID, c.Device.ID))
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
	// Nothing of it waits to be fetched, so nothing is swept as never fetched.
	h.pass(time.Hour)
	if err := h.registrar.Sweep(t.Context(), h.registrar.Stale()); err != nil {
		t.Fatal(err)
	}
	d = must[portal.Device](t)(h.registrar.Device(t.Context(), h.anna.ID, c.Device.ID))
	if d.Certificate.Status != portal.Issued {
		t.Errorf("status %s after the sweep", d.Certificate.Status)
	}
}

// A device with a key that nobody can encrypt to signs with a second one.
func TestEllipticCurveKeys(t *testing.T) {
	h := newHouse(t)
	for n, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		t.Run(curve.Params().Name, func(t *testing.T) {
			key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(curve, rand.Reader))
			p, c := newPhone(t, n), h.challenge(h.anna)
			cert := h.issue(p, h.message(p, wire.PKCSReq, csr(t, key, c.Secret, x509.CertificateRequest{})))
			if !key.PublicKey.Equal(cert.PublicKey) {
				t.Error("certificate for another key")
			}
		})
	}
}

func TestRenewal(t *testing.T) {
	h := newHouse(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	p.signer = h.issue(p, h.first(p, c.Secret))
	next := newPhone(t, 1)
	cert := h.issue(p, h.message(p, wire.RenewalReq, csr(t, next.key, "", x509.CertificateRequest{})))
	if !next.key.PublicKey.Equal(cert.PublicKey) || cert.Subject.CommonName != h.anna.UPN {
		t.Errorf("certificate of %s", cert.Subject)
	}
	devices := must[[]portal.Device](t)(h.registrar.Devices(t.Context(), h.anna.ID))
	if len(devices) != 1 || !bytes.Equal(devices[0].Certificate.DER, cert.Raw) {
		t.Fatalf("%d devices, want the one with the new certificate", len(devices))
	}
	// The old one works on, and does not renew twice.
	third := newPhone(t, 2)
	again := h.message(p, wire.RenewalReq, csr(t, third.key, "", x509.CertificateRequest{}))
	h.denied(p, again, wire.BadRequest, portal.HolderRenewed)
	if got := h.count(audit.CertificateRevoked); got != 0 {
		t.Errorf("%d certificates revoked while both are to work, want none", got)
	}
	// That the new one renews shows that it arrived: the first one ends.
	next.signer = cert
	h.issue(next, h.message(next, wire.RenewalReq, csr(t, third.key, "", x509.CertificateRequest{})))
	if got := h.count(audit.CertificateRevoked); got != 1 {
		t.Errorf("%d certificates revoked, want the first", got)
	}
	h.denied(p, again, wire.BadRequest, portal.HolderEnded)
	// With the device everything ends that it was ever given.
	if err := h.registrar.Remove(t.Context(), h.byPerson(h.anna), c.Device.ID); err != nil {
		t.Fatal(err)
	}
	if got := h.count(audit.CertificateRevoked); got != 3 {
		t.Errorf("%d certificates revoked with the device, want all 3", got)
	}
}

// The old certificate ends with the overlap, and the sweep sees to it.
func TestA15_RenewedCertificateEndsWithTheOverlap(t *testing.T) {
	h := newHouse(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	p.signer = h.issue(p, h.first(p, c.Secret))
	next := newPhone(t, 1)
	h.issue(p, h.message(p, wire.RenewalReq, csr(t, next.key, "", x509.CertificateRequest{})))
	h.pass(enroll.DefaultOverlap + time.Second)
	if err := h.registrar.Sweep(t.Context(), h.registrar.Stale()); err != nil {
		t.Fatal(err)
	}
	if got := h.count(audit.CertificateRevoked); got != 1 {
		t.Errorf("%d certificates revoked after the overlap, want the old one", got)
	}
	h.denied(p, h.message(p, wire.RenewalReq, csr(t, newPhone(t, 2).key, "", x509.CertificateRequest{})),
		wire.BadRequest, portal.HolderEnded)
}

// The device's next profile replaces what the device had.
func TestNewChallengeForAKnownDevice(t *testing.T) {
	h := newHouse(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	p.signer = h.issue(p, h.first(p, c.Secret))
	again := must[enroll.Challenge](t)(h.registrar.NewChallenge(t.Context(), enroll.Request{
		By: h.byPerson(h.anna), Device: c.Device.ID, PickupKey: h.key,
	}))
	other := newPhone(t, 1)
	h.issue(other, h.first(other, again.Secret))
	// The first certificate went with that.
	m := h.message(p, wire.RenewalReq, csr(t, rsaKey(t, 2), "", x509.CertificateRequest{}))
	h.denied(p, m, wire.BadRequest, portal.HolderEnded)
}

// Replicas share their agents: what one told a device the other can open.
func TestReplicasShareAgents(t *testing.T) {
	h := newHouse(t)
	one := h.caCerts()[0]
	h.server = h.replica()
	if got := h.serials(); got != 0 {
		t.Errorf("the second replica made %d certificates", got)
	}
	// Two thirds of its life later there is a new one, and the old one still opens.
	h.pass(70 * 24 * time.Hour)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	m := h.first(p, c.Secret)
	fresh := h.replica()
	if got := h.serials(); got != 1 {
		t.Errorf("%d agents made, want 1", got)
	}
	if two := h.caCerts()[0]; !two.Equal(one) {
		t.Fatal("the first replica serves the new agent without having looked")
	}
	if err := fresh.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.issue(p, m)
}

func TestServerRefusesHTTP(t *testing.T) {
	h := newHouse(t)
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
			req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), tt.method, h.url+tt.query, bytes.NewReader(tt.body)))
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
