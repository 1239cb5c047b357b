package upstream_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/test/cfssl"
	"certportal/internal/test/standin"
	"certportal/internal/test/testkit"
)

// issuedByCFSSL compares a certificate of the real CA with its request.
func issuedByCFSSL(t *testing.T, p cfssl.Policy) error {
	t.Helper()
	key := testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t)
	authority := cfssl.New(t, p)
	cert := testkit.Must(authority.Sign(standin.RequestFor(t, standin.Person(), key).CSR))(t)
	return ca.Foreign{
		Profile: standin.Profile(t), Subject: standin.Person(), Key: key.Public(), Anchors: []*x509.Certificate{authority.Root},
	}.Check(cert, time.Now())
}

// By default the real CA drops UPN, SID and the usages of clients, and says nothing.
func TestF14_CFSSLDropsExtensions(t *testing.T) {
	var refused *ca.ForeignError
	if err := issuedByCFSSL(t, cfssl.Policy{}); !errors.As(err, &refused) {
		t.Fatalf("comparison gives %v, want a ForeignError", err)
	}
	for _, rule := range []string{"san-upn", "sid", "extended-key-usage"} {
		if !slices.ContainsFunc(refused.Findings, func(f string) bool { return strings.HasPrefix(f, rule+":") }) {
			t.Errorf("no finding of %s in %q", rule, refused.Findings)
		}
	}
}

func TestCFSSLWithCopiedExtensionsIsAccepted(t *testing.T) {
	testkit.NoError(t, issuedByCFSSL(t, cfssl.Policy{CopyExtensions: true}))
}
