package servercert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"certportal/internal/servercert"
	"certportal/internal/test/testkit"
)

// chain is root, intermediate CA and certificate of a.example, each with a key of its own.
type chain struct{ root, middle, leaf *x509.Certificate }

// newChain makes a chain; change may alter a template before it is signed.
func newChain(t *testing.T, change func(root, middle, leaf *x509.Certificate)) chain {
	t.Helper()
	now := time.Now()
	template := func(name string, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(90 * 24 * time.Hour),
		}
	}
	root, middle, leaf := template("root", true), template("middle", true), template("a.example", false)
	leaf.DNSNames, leaf.ExtKeyUsage = []string{"a.example", "b.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	change(root, middle, leaf)
	key := func() *ecdsa.PrivateKey { return testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t) }
	rootKey, middleKey, leafKey := key(), key(), key()
	sign := func(c, by *x509.Certificate, own, signer *ecdsa.PrivateKey) *x509.Certificate {
		der := testkit.Must(x509.CreateCertificate(rand.Reader, c, by, own.Public(), signer))(t)
		return testkit.Must(x509.ParseCertificate(der))(t)
	}
	c := chain{root: sign(root, root, rootKey, rootKey)}
	c.middle = sign(middle, c.root, middleKey, rootKey)
	if leaf.Issuer.CommonName == "itself" {
		c.leaf = sign(leaf, leaf, leafKey, leafKey)
		return c
	}
	c.leaf = sign(leaf, c.middle, leafKey, middleKey)
	return c
}

// TestExamine makes each mistake of an installer with a TLS certificate. The sentence says
// what is wrong and what to do.
func TestExamine(t *testing.T) {
	same := func(_, _, _ *x509.Certificate) {}
	whole := func(c chain) []*x509.Certificate { return []*x509.Certificate{c.leaf, c.middle} }
	tests := []struct {
		name   string
		change func(root, middle, leaf *x509.Certificate)
		file   func(chain) []*x509.Certificate
		host   string
		trust  bool // in the root
		want   string
		failed bool
	}{
		{"in order", same, whole, "a.example", true, "", false},
		{"the other name", same, whole, "B.example", true, "", false},
		{"root in the file", same, func(c chain) []*x509.Certificate { return append(whole(c), c.root) }, "a.example", true, "", false},
		{"another host", same, whole, "c.example", true, "it is for a.example, b.example and not for c.example", true},
		{"an address", same, whole, "192.0.2.7", true, "correct public_url", true},
		{"common name only", func(_, _, leaf *x509.Certificate) { leaf.DNSNames = nil }, whole, "a.example", true, "no subject alternative name", true},
		{"ended", func(_, _, leaf *x509.Certificate) { leaf.NotAfter = time.Now().Add(-time.Minute) }, whole, "a.example", true, "put a new one in its place", true},
		{"not yet", func(_, _, leaf *x509.Certificate) { leaf.NotBefore = time.Now().Add(time.Hour) }, whole, "a.example", true, "set this machine's clock", true},
		{"ends soon", func(_, _, leaf *x509.Certificate) { leaf.NotAfter = time.Now().Add(13 * 24 * time.Hour) }, whole, "a.example", true, "in 12 days: renew it", false},
		{"self-signed", func(_, _, leaf *x509.Certificate) { leaf.Issuer.CommonName = "itself" },
			func(c chain) []*x509.Certificate { return []*x509.Certificate{c.leaf} }, "a.example", true, "signed by itself", true},
		{"no intermediate", same, func(c chain) []*x509.Certificate { return []*x509.Certificate{c.leaf} }, "a.example", true, `its issuer "CN=middle" is not in it. Append`, true},
		{"unknown root", same, func(c chain) []*x509.Certificate { return append(whole(c), c.root) }, "a.example", false, `its root "CN=root" is none that this machine trusts`, true},
		{"root left out", same, whole, "a.example", false, `its issuer "CN=root" is not in it`, true},
		{"of a person", func(_, _, leaf *x509.Certificate) { leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, whole, "a.example", true, "not for servers", true},
		{"old CA", func(_, middle, _ *x509.Certificate) { middle.NotAfter = time.Now().Add(time.Hour) }, whole, "a.example", true, `the CA "CN=middle" in its chain ends before it`, true},
		{"SHA-1", func(_, _, leaf *x509.Certificate) { leaf.SignatureAlgorithm = x509.ECDSAWithSHA1 }, whole, "a.example", true, "signed with ECDSA-SHA1", true},
		{"nothing", same, func(chain) []*x509.Certificate { return nil }, "a.example", true, "no certificate", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newChain(t, tt.change)
			roots := x509.NewCertPool()
			roots.AddCert(newChain(t, same).root) // of another world, as this machine has some
			if tt.trust {
				roots.AddCert(c.root)
			}
			list := servercert.Examine(tt.file(c), tt.host, roots, time.Now())
			if tt.want == "" {
				if len(list) > 0 {
					t.Errorf("got %v, want nothing", list)
				}
				return
			}
			if len(list) != 1 || !strings.Contains(list[0].Text, tt.want) || list[0].Failed != tt.failed {
				t.Errorf("got %+v, want one with %q, failed %t", list, tt.want, tt.failed)
			}
		})
	}
}

// TestExamineWithoutRoots runs on a machine that knows no CA at all: a chain that goes on
// may be right, one certificate alone is not.
func TestExamineWithoutRoots(t *testing.T) {
	c := newChain(t, func(_, _, _ *x509.Certificate) {})
	for _, roots := range []*x509.CertPool{nil, x509.NewCertPool()} {
		if list := servercert.Examine([]*x509.Certificate{c.leaf, c.middle}, "a.example", roots, time.Now()); len(list) > 0 {
			t.Errorf("a chain: got %v", list)
		}
		if list := servercert.Examine([]*x509.Certificate{c.leaf}, "a.example", roots, time.Now()); len(list) != 1 || !strings.Contains(list[0].Text, "not complete") {
			t.Errorf("no chain: got %v", list)
		}
	}
}
