package enroll_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
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

// A request as openssl req -text prints it, or copied out of a mail, has text before its
// first line (RFC 7468 section 2).
func TestPastedTextBeforeTheRequest(t *testing.T) {
	openssl := daemon.Program("openssl")
	if openssl == "" {
		daemon.Need(t, "openssl is absent")
	}
	made, err := exec.Command(openssl, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", filepath.Join(t.TempDir(), "key"),
		"-subj", "/CN=x", "-text").Output()
	if err != nil || !strings.HasPrefix(string(made), "Certificate Request:") {
		t.Fatalf("got %q, %v", made, err)
	}
	if _, err := enroll.ParsePastedRequest(string(made)); err != nil {
		t.Errorf("openssl req -text: %v", err)
	}
	key, whole := request(t)
	for name, text := range map[string]string{
		"a greeting": "Dear portal,\n\n" + whole, "a blank before the line": "Here:\r\n  " + whole, "a byte order mark": "\ufeffHere:\n" + whole,
	} {
		got, err := enroll.ParsePastedRequest(text)
		if err != nil || !got.Key.(interface{ Equal(crypto.PublicKey) bool }).Equal(key) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"within a line": "Here: " + whole, "text behind": "Here:\n" + whole + "Regards", "two": whole + whole,
		"a certificate first": strings.ReplaceAll(whole, " REQUEST", "") + whole,
	} {
		wantPastedDenial(t, name, text, enroll.RequestForm)
	}
	wantPastedDenial(t, "a key first", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"+whole, enroll.RequestSecret)
}

func wantPastedDenial(t *testing.T, name, text, why string) {
	t.Helper()
	_, err := enroll.ParsePastedRequest(text)
	var denial *portal.Denial
	if !errors.As(err, &denial) || denial.Why != why {
		t.Errorf("%s: got %v, want denial %s", name, err, why)
	}
}

// oddRequest is a request in DER whose subject and alternative names do not parse.
func oddRequest(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	add := func(b *cryptobyte.Builder, tag der.Tag, f func(*cryptobyte.Builder)) { b.AddASN1(tag, f) }
	id := func(b *cryptobyte.Builder, id ...int) { b.AddASN1ObjectIdentifier(id) }
	junk := func(tag der.Tag, text string) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
		}
	}
	spki := testkit.Must(x509.MarshalPKIXPublicKey(key.Public()))(t)
	var b cryptobyte.Builder
	add(&b, der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		add(b, der.SEQUENCE, junk(der.SET, "no set of names"))
		b.AddBytes(spki)
		add(b, der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			add(b, der.SEQUENCE, func(b *cryptobyte.Builder) {
				id(b, 1, 2, 840, 113549, 1, 9, 14)
				add(b, der.SET, func(b *cryptobyte.Builder) {
					add(b, der.SEQUENCE, func(b *cryptobyte.Builder) {
						add(b, der.SEQUENCE, func(b *cryptobyte.Builder) {
							id(b, 2, 5, 29, 17)
							junk(der.OCTET_STRING, "no names")(b)
						})
					})
				})
			})
		})
	})
	signed := b.BytesOrPanic()
	sum := sha256.Sum256(signed)
	signature := testkit.Must(key.Sign(rand.Reader, sum[:], crypto.SHA256))(t)
	var whole cryptobyte.Builder
	add(&whole, der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		add(b, der.SEQUENCE, func(b *cryptobyte.Builder) { id(b, 1, 2, 840, 10045, 4, 3, 2) })
		b.AddASN1BitString(signature)
	})
	return whole.BytesOrPanic()
}

// Of names nothing is taken, so one that does not parse does no harm.
func TestA1_NamesThatDoNotParse(t *testing.T) {
	key := testkit.ECKey(t)
	raw := oddRequest(t, key)
	if _, err := x509.ParseCertificateRequest(raw); err == nil {
		t.Fatal("the library parses the names")
	}
	p := keyPortal(t)
	pasted := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: raw}))
	done := testkit.Must(p.EnrollRequest(t.Context(), p.request("Server", "form"), pasted))(t)
	cert := testkit.Must(x509.ParseCertificate(p.device(done.Device).Certificate.DER))(t)
	if got := cert.Subject.String(); got != "CN=anna@corp.example" || !key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("got a certificate of %s", got)
	}
	// The signature is still that over the whole request.
	at := bytes.Index(raw, []byte("no names"))
	raw[at] ^= 1
	wantPastedDenial(t, "changed", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: raw})), enroll.RequestProof)
}

// FuzzParsePastedRequest holds that what is taken is one request, signed with its
// key, and that every refusal has a word.
func FuzzParsePastedRequest(f *testing.F) {
	_, whole := request(f)
	for _, seed := range []string{
		whole, whole + whole, "text\n" + whole, "\ufeff \r\n" + whole, whole[:100], "", "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----",
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
