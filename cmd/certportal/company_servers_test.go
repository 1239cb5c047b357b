package main

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/internal/test/daemon"
	"certportal/internal/test/kdc"
	"certportal/internal/test/relyingparty"
	"certportal/internal/test/testkit"
)

// TestA12_ServersUnderACompanysRoot signs in at servers of others with files as delivered,
// below a root and a policy CA of OpenSSL: as their person, not with a lost phone, and not
// with a certificate of another CA.
func TestA12_ServersUnderACompanysRoot(t *testing.T) {
	u := newUnderRoot(t, opensslCompany)
	u.open(t)
	other := newUnderRoot(t, gnutlsCompany)
	other.open(t)
	kept, lost, foreign := u.deliver(t, "Kept"), u.deliver(t, "Lost"), other.deliver(t, "Phone")
	u.lose(t, lost)
	below := string(ca.PEM(u.Registrar.Chain(nil)...))
	lists := u.allLists(t)

	own := testkit.Must(daemon.NewAuthority())(t)
	files := testkit.Must(own.Server(t.TempDir(), "localhost", "127.0.0.1"))(t)
	config := relyingparty.Config{
		Certificate: files.Certificate, Key: files.Key, Roots: own.Roots(), Authorities: string(ca.PEM(u.CA.Folder.Root())) + below,
		Lists: strings.Join(lists, ""), Depth: 3,
	}
	for _, start := range []func(testing.TB, relyingparty.Config) *relyingparty.Server{relyingparty.Apache, relyingparty.Nginx} {
		s := start(t, config)
		if got := s.Ask(kept.pair(t), tls.VersionTLS13); !got.Admitted || !strings.Contains(got.Person, "anna@corp.example") {
			t.Errorf("%s: %s, want let in as anna", s.Name, got)
		}
		if got := s.Ask(lost.pair(t), tls.VersionTLS13); got.Admitted || !strings.Contains(got.Why, "revoked") {
			t.Errorf("%s, lost phone: %s, want refused: revoked", s.Name, got)
		}
		if got := s.Ask(foreign.pair(t), tls.VersionTLS13); got.Admitted {
			t.Errorf("%s, certificate of another CA: %s, want refused", s.Name, got)
		}
	}
	shallow := config
	shallow.Depth = 2
	if got := relyingparty.Apache(t, shallow).Ask(kept.pair(t), tls.VersionTLS13); got.Admitted {
		t.Errorf("Apache with SSLVerifyDepth 2: %s, want refused as the docs say", got)
	}
	k := kdc.Start(t, kdc.Config{Realm: "corp.example", Root: string(ca.PEM(u.CA.Folder.Root())), Issuing: below, Lists: lists})
	signInByCertificate(t, k, kept, lost, foreign)
}

// signInByCertificate signs in by PKINIT.
func signInByCertificate(t *testing.T, k *kdc.KDC, kept, lost, foreign delivered) {
	t.Helper()
	k.AddPerson("anna")
	if got := k.Login("anna", kept.file, kept.password); !got.Admitted {
		t.Errorf("Kerberos: %s, want let in", got)
	}
	if got := k.Login("anna", lost.file, lost.password); got.Admitted || !strings.Contains(got.Why, "evoked") {
		t.Errorf("Kerberos, lost phone: %s, want refused: revoked", got)
	}
	if got := k.Login("anna", foreign.file, foreign.password); got.Admitted {
		t.Errorf("Kerberos, certificate of another CA: %s, want refused", got)
	}
}

// pair opens the file as a phone does.
func (d delivered) pair(t *testing.T) *tls.Certificate {
	t.Helper()
	key, leaf, chain, err := pkcs12.DecodeChain(d.file, d.password)
	testkit.NoError(t, err)
	pair := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, cert := range append([]*x509.Certificate{leaf}, chain...) {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return pair
}
