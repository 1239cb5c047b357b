package kdc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/deliver"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/kdc"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestA12_SambaSignsInByCertificate signs in at a domain controller with files as
// delivered, below the root of a company: as their person, and as no other. Before 4.19 Samba reads the list and goes
// by it in nothing: only a disabled account keeps a lost phone out.
func TestA12_SambaSignsInByCertificate(t *testing.T) {
	p, stranger := fixture.NewLivePortalOf(t, ca.RSA2048), fixture.NewLivePortalOf(t, ca.RSA2048)
	root, policy, list := company(t, p)
	k := kdc.StartSamba(t, kdc.Config{
		Root: string(ca.PEM(root)), Issuing: string(ca.PEM(policy, p.Hierarchy.Issuing)), Lists: append(p.Lists(), list),
	})
	k.AddPerson("anna")
	k.AddPerson("ben")
	phone := func(p *fixture.LivePortal, login, sid string) (portal.Person, fixture.Delivered) {
		person := fixture.NewPerson(login, fixture.SIDPrefix+sid)
		person.UPN = login + "@" + samba.Domain
		p.AddPerson(person)
		return person, p.Deliver(person, "Phone", deliver.FormatLegacy)
	}
	anna, lost := phone(p, "anna", "1101")
	_, other := phone(p, "ben", "1102")
	_, foreign := phone(stranger, "anna", "1101")
	testkit.DocsAgree(t, "relying-parties.md", "samba", "/var/lib/pki", k.Config(), k.Folder())
	wantAdmitted(t, k, "anna", lost)
	wantAdmitted(t, k, "ben", other)
	wantRefused(t, k, "anna", other, "Client name mismatch")
	wantRefused(t, k, "anna", foreign, "Failed to verify")

	p.Lose(anna, lost)
	k.Replace(append(p.Lists(), list)...)
	k.Restart()
	if sambaChecksLists(t) {
		wantRefused(t, k, "anna", lost, "revoked")
	} else {
		wantAdmitted(t, k, "anna", lost)
	}
	wantAdmitted(t, k, "ben", other)
	k.DisablePerson("anna")
	wantRefused(t, k, "anna", lost, "revoked") // so Kerberos calls a disabled account
}

// sambaChecksLists reports whether this version goes by pkinit_revoke.
func sambaChecksLists(t *testing.T) bool {
	t.Helper()
	out := testkit.Must(exec.Command(daemon.Program("samba"), "--version").Output())(t)
	found := regexp.MustCompile(`Version 4\.(\d+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("samba --version prints %s", out)
	}
	return testkit.Must(strconv.Atoi(string(found[1])))(t) >= 19
}

// company makes the root of a company above a portal, whose own root becomes a policy CA,
// and the list of that root.
func company(t *testing.T, p *fixture.LivePortal) (root, policy *x509.Certificate, list string) {
	t.Helper()
	key := testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t)
	certify := func(subject pkix.Name, parent *x509.Certificate, pub any) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: fixture.NewSerial(t).Big(), Subject: subject, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		if parent == nil {
			parent = template
		} else {
			template.SubjectKeyId = p.Hierarchy.Root.SubjectKeyId
		}
		return testkit.Must(x509.ParseCertificate(testkit.Must(x509.CreateCertificate(rand.Reader, template, parent, pub, key))(t)))(t)
	}
	root = certify(pkix.Name{CommonName: "Company Root"}, nil, key.Public())
	policy = certify(p.Hierarchy.Root.Subject, root, p.Hierarchy.Root.PublicKey)
	testkit.NoError(t, p.Hierarchy.Issuing.CheckSignatureFrom(policy))
	der := testkit.Must(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().AddDate(0, 1, 0),
	}, root, key))(t)
	return root, policy, string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}
