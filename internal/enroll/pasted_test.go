package enroll_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// request is a certificate request of a new key, in PEM.
func request(t testing.TB) (crypto.PublicKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public(), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// TestEnrollRequest distinguishes devices with their own keys from all others.
func TestEnrollRequest(t *testing.T) {
	p := keyPortal(t)
	key, pasted := request(t)
	done := testkit.Must(p.EnrollRequest(t.Context(), p.request("Server", "form"), pasted))(t)
	device := p.device(done.Device)
	cert := testkit.Must(x509.ParseCertificate(device.Certificate.DER))(t)
	if !cert.PublicKey.(*ecdsa.PublicKey).Equal(key) || device.Certificate.Delivered.IsZero() {
		t.Error("a certificate for another key, or one that waits to be fetched")
	}
	if !testkit.Must(p.HasOwnKey(t.Context(), device))(t) {
		t.Error("the portal takes the key for its own")
	}
	phone := p.request("Phone", "other form")
	phone.Platform = portal.IOS
	_, err := p.EnrollRequest(t.Context(), phone, pasted)
	p.wantDenial(err, enroll.RequestPlatform)
	file := p.device(p.enroll("Laptop", "third form").Device)
	if testkit.Must(p.HasOwnKey(t.Context(), file))(t) || testkit.Must(p.HasOwnKey(t.Context(), portal.Device{}))(t) {
		t.Error("a key of the portal's, or none, counts as brought")
	}
	// Without challenges the two cannot be distinguished, so there is one kind.
	alone := p.NewRegistrar(func(c *enroll.Config) { c.DeviceKeys = false })
	_, pasted = request(t)
	var out *portal.Outage
	if _, err := alone.EnrollRequest(t.Context(), p.request("Other", "form 4"), pasted); !errors.As(err, &out) {
		t.Errorf("without challenges: got %v", err)
	}
}

// TestPhonesKeyIsNotBrought: what a profile made a phone do is no request of its
// person's.
func TestPhonesKeyIsNotBrought(t *testing.T) {
	p := keyPortal(t)
	req := p.request("Phone", "form")
	req.Platform = portal.IOS
	c := testkit.Must(p.NewChallenge(t.Context(), req))(t)
	testkit.Must(p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
	if testkit.Must(p.HasOwnKey(t.Context(), p.device(c.Device.ID)))(t) {
		t.Error("a key out of a profile counts as brought")
	}
}

// FuzzParsePastedRequest holds that what is taken is one request, signed with its
// key, and that every refusal has a word.
func FuzzParsePastedRequest(f *testing.F) {
	_, whole := request(f)
	for _, seed := range []string{
		whole, whole + whole, "\ufeff \r\n" + whole, whole[:100], "", "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----",
		"-----BEGIN NEW CERTIFICATE REQUEST-----\nMIIB\n-----END NEW CERTIFICATE REQUEST-----\n", "-----BEGIN PRIVATE KEY-----",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := enroll.ParsePastedRequest(text)
		var denial *portal.Denial
		switch {
		case err != nil && (!errors.As(err, &denial) || denial.Why == "" || got.Key != nil):
			t.Errorf("refused with %v and key %v", err, got.Key)
		case err == nil:
			block, rest := pem.Decode([]byte(text))
			again, err := enroll.ParseKeyRequest(block.Bytes)
			if err != nil || !again.Key.(interface{ Equal(crypto.PublicKey) bool }).Equal(got.Key) || len(bytes.TrimSpace(rest)) != 0 {
				t.Errorf("taken: %q, %v", text, err)
			}
		}
	})
}
