package deliver_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"certportal/internal/deliver"
)

// signerOf makes a signer with a kind of key, with its issuing CA and root.
func signerOf(t testing.TB, kind string) deliver.Signer {
	t.Helper()
	return deliver.Signer{Key: signer(t, kind), Chain: []*x509.Certificate{
		certificate(t, kind+"-leaf"), certificate(t, "issuing"), certificate(t, "root"),
	}}
}

// signedAt is a time within the life of the certificates in testdata.
func signedAt() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC) }

// sign signs or ends the test.
func sign(t testing.TB, content []byte, s deliver.Signer) []byte {
	t.Helper()
	signed, err := deliver.Sign(content, s, signedAt())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestOpenSSLVerifiesProfile(t *testing.T) {
	program(t, "openssl")
	for _, kind := range keyKinds() {
		t.Run(kind, func(t *testing.T) {
			content := xml(t, profile(t, deliver.TargetPhone))
			dir := t.TempDir()
			in, out, root := filepath.Join(dir, "x.mobileconfig"), filepath.Join(dir, "x.plist"), filepath.Join("testdata", "root.pem")
			if err := os.WriteFile(in, sign(t, content, signerOf(t, kind)), 0o600); err != nil {
				t.Fatal(err)
			}
			// -binary: compare the content byte for byte, not as MIME text.
			mustRun(t, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", in, "-out", out, "-CAfile", root, "-purpose", "any")
			got, err := os.ReadFile(out)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("the signed content is another one, %v", err)
			}
			wantIn(t, mustRun(t, "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", in, "-noout"),
				"algorithm: sha256 (2.16.840.1.101.3.4.2.1)", "object: signingTime", "Jan  2 03:04:05 2030 GMT",
				"object: contentType", "object: messageDigest")
			certs := mustRun(t, "openssl", "pkcs7", "-inform", "DER", "-in", in, "-print_certs", "-noout")
			if strings.Contains(certs, "subject=CN = Test Root") || !strings.Contains(certs, "Test Issuing CA") {
				t.Errorf("the signature carries\n%s", certs)
			}
			spoilt, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			spoilt = bytes.Replace(spoilt, []byte("mail.example.com"), []byte("mail.example.org"), 1)
			if err := os.WriteFile(in, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := run(t, "openssl", "cms", "-verify", "-inform", "DER", "-in", in, "-CAfile", root, "-purpose", "any", "-out", os.DevNull); err == nil {
				t.Errorf("a changed profile is taken:\n%s", out)
			}
		})
	}
}

// A second reader of CMS, the package that the SCEP server uses.
func TestPKCS7VerifiesProfile(t *testing.T) {
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t, "root"))
	for _, kind := range keyKinds() {
		t.Run(kind, func(t *testing.T) {
			p7, err := pkcs7.Parse(sign(t, []byte("content"), signerOf(t, kind)))
			if err != nil {
				t.Fatal(err)
			}
			if err := p7.VerifyWithChain(roots); err != nil || string(p7.Content) != "content" || len(p7.Certificates) != 2 {
				t.Errorf("got %v, %q with %d certificates", err, p7.Content, len(p7.Certificates))
			}
		})
	}
}

// Ranges and retries of a download must be of one file: signature and signing time must
// be the same.
func TestSignatureRepeatsItself(t *testing.T) {
	for _, kind := range keyKinds() {
		t.Run(kind, func(t *testing.T) {
			s := signerOf(t, kind)
			if !bytes.Equal(sign(t, []byte("x"), s), sign(t, []byte("x"), s)) {
				t.Error("two signatures of one content differ")
			}
			if bytes.Equal(sign(t, []byte("x"), s), sign(t, []byte("y"), s)) {
				t.Error("two contents have one signature")
			}
		})
	}
}

// hidden is a key in a hardware token, which can only sign.
type hidden struct{ crypto.Signer }

func (h hidden) Sign(random io.Reader, sum []byte, o crypto.SignerOpts) ([]byte, error) {
	if random == nil {
		return nil, os.ErrInvalid
	}
	return h.Signer.Sign(random, sum, o)
}

func TestSignWithDevice(t *testing.T) {
	for _, kind := range keyKinds() {
		s := signerOf(t, kind)
		s.Key = hidden{s.Key}
		p7, err := pkcs7.Parse(sign(t, []byte("content"), s))
		if err != nil {
			t.Fatal(err)
		}
		if err := p7.Verify(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A signing time before notBefore of the certificate would make the signature invalid.
func TestSigningTimeWithinCertificate(t *testing.T) {
	s := signerOf(t, "ec")
	signed, err := deliver.Sign([]byte("x"), s, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	p7, err := pkcs7.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	var at time.Time
	if err := p7.UnmarshalSignedAttribute(pkcs7.OIDAttributeSigningTime, &at); err != nil || !at.Equal(s.Chain[0].NotBefore) {
		t.Errorf("got %v, %v, want %v", at, err, s.Chain[0].NotBefore)
	}
}

func TestSignRefuses(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := signerOf(t, "ec")
	tests := []struct {
		name   string
		signer deliver.Signer
		want   string
	}{
		{"nothing", deliver.Signer{}, "missing"},
		{"no key", deliver.Signer{Chain: good.Chain}, "missing"},
		{"no certificate", deliver.Signer{Key: good.Key}, "missing"},
		{"key of another", deliver.Signer{Chain: good.Chain, Key: other}, "does not belong"},
		{"Ed25519", deliver.Signer{Chain: []*x509.Certificate{own}, Key: private}, "neither RSA nor ECDSA"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.signer.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("check: got %v, want %q", err, tt.want)
			}
			if signed, err := deliver.Sign([]byte("x"), tt.signer, signedAt()); err == nil || signed != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestSelfSignedSigner checks that a self-signed signer certificate stays in the chain.
func TestSelfSignedSigner(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "self"},
		NotBefore: signedAt().Add(-time.Hour), NotAfter: signedAt().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	p7, err := pkcs7.Parse(sign(t, []byte("x"), deliver.Signer{Chain: []*x509.Certificate{cert}, Key: key}))
	if err != nil {
		t.Fatal(err)
	}
	if err := p7.Verify(); err != nil || len(p7.Certificates) != 1 {
		t.Errorf("got %v with %d certificates", err, len(p7.Certificates))
	}
}
