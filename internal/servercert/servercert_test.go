package servercert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"certportal/internal/servercert"
	"certportal/internal/test/testkit"
)

// TestFault makes real handshakes with a chain of three certificates.
func TestFault(t *testing.T) {
	tests := []struct {
		name    string
		change  func(root, middle, leaf *x509.Certificate)
		want    string // in the words; empty for no words
		accepts bool
	}{
		{"in order", func(_, _, _ *x509.Certificate) {}, "", true},
		{"SHA-1 of a root", func(root, _, _ *x509.Certificate) { root.SignatureAlgorithm = x509.ECDSAWithSHA1 }, "", true},
		{"SHA-1 of the CA", func(_, middle, _ *x509.Certificate) { middle.SignatureAlgorithm = x509.ECDSAWithSHA1 },
			`comes from the CA "CN=middle", whose own certificate is signed with ECDSA-SHA1`, false},
		{"SHA-1 of the server", func(_, _, leaf *x509.Certificate) { leaf.SignatureAlgorithm = x509.ECDSAWithSHA1 },
			"is signed with ECDSA-SHA1, which is refused from every CA", false},
		{"no names", func(_, _, leaf *x509.Certificate) { leaf.DNSNames = nil }, `only the common name "leaf"`, false},
		{"another name", func(_, _, leaf *x509.Certificate) { leaf.DNSNames = []string{"other.example"} }, "", false},
		{"expired", func(_, _, leaf *x509.Certificate) { leaf.NotAfter = time.Now().Add(-time.Hour) }, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := handshake(t, tt.change)
			if (err == nil) != tt.accepts {
				t.Errorf("handshake: %v, want it accepted: %t", err, tt.accepts)
			}
			got := servercert.Fault(err)
			if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("fault %q, want %q in it", got, tt.want)
			}
		})
	}
}

// handshake returns the error of a client of dc1.example.
func handshake(t *testing.T, change func(root, middle, leaf *x509.Certificate)) error {
	t.Helper()
	template := func(name string, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
	}
	root, middle, leaf := template("root", true), template("middle", true), template("leaf", false)
	leaf.DNSNames = []string{"dc1.example"}
	change(root, middle, leaf)
	key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	sign := func(c, by *x509.Certificate) []byte {
		return testkit.Must(x509.CreateCertificate(rand.Reader, c, by, key.Public(), key))(t)
	}
	roots := x509.NewCertPool()
	roots.AddCert(testkit.Must(x509.ParseCertificate(sign(root, root)))(t))
	client, server := net.Pipe()
	defer client.Close()
	chain := tls.Certificate{Certificate: [][]byte{sign(leaf, middle), sign(middle, root)}, PrivateKey: key}
	go func() {
		defer server.Close()
		_ = tls.Server(server, &tls.Config{Certificates: []tls.Certificate{chain}}).HandshakeContext(t.Context())
	}()
	return tls.Client(client, &tls.Config{ServerName: "dc1.example", RootCAs: roots}).HandshakeContext(t.Context())
}
