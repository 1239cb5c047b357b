package kdc_test

import (
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/deliver"
	"certportal/internal/test/kdc"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// start runs a portal, and a KDC of its UPN suffix that knows the people by login.
func start(t *testing.T, logins ...string) (*fixture.LivePortal, *kdc.KDC) {
	t.Helper()
	p := fixture.NewLivePortal(t)
	k := kdc.Start(t, kdc.Config{
		Realm: "corp.example", Root: string(ca.PEM(p.Hierarchy.Root)), Issuing: string(ca.PEM(p.Hierarchy.Issuing)), Lists: p.Lists(),
	})
	for _, login := range logins {
		k.AddPerson(login)
	}
	return p, k
}

func wantAdmitted(t *testing.T, k *kdc.KDC, login string, d fixture.Delivered) {
	t.Helper()
	if got := k.Login(login, d.File, d.Password); !got.Admitted || got.Person != login+"@"+k.Realm() {
		t.Errorf("%s: %s, want let in", login, got)
	}
}

// wantRefused requires a reason, so that a KDC which refuses all files does not pass.
func wantRefused(t *testing.T, k *kdc.KDC, login string, d fixture.Delivered, why string) {
	t.Helper()
	if got := k.Login(login, d.File, d.Password); got.Admitted || !strings.Contains(strings.ToLower(got.Why), strings.ToLower(why)) {
		t.Errorf("%s: %s, want refused: %s", login, got, why)
	}
}

// TestA12_KerberosGoesByTheList signs in by PKINIT with files as delivered: as their
// person, not as another, and not after the revocation.
func TestA12_KerberosGoesByTheList(t *testing.T) {
	p, k := start(t, "anna", "ben")
	anna, ben := p.Add("anna", fixture.SIDPrefix+"1101"), p.Add("ben", fixture.SIDPrefix+"1102")
	lost := p.Deliver(anna, "Phone", deliver.FormatLegacy)
	kept, other := p.Deliver(anna, "Laptop", deliver.FormatModern), p.Deliver(ben, "Phone", deliver.FormatLegacy)
	for _, d := range []fixture.Delivered{lost, kept} {
		wantAdmitted(t, k, "anna", d)
	}
	wantAdmitted(t, k, "ben", other)
	wantRefused(t, k, "ben", kept, "Client name mismatch")
	wantRefused(t, k, "anna", other, "Client name mismatch")

	p.Lose(anna, lost)
	k.Replace(p.Lists()...)
	k.Restart()
	wantRefused(t, k, "anna", lost, "revoked")
	wantAdmitted(t, k, "anna", kept)
	wantAdmitted(t, k, "ben", other)

	k.Replace(p.ExpiredLists()...)
	k.Restart()
	wantRefused(t, k, "anna", kept, "CRL has expired")
}

// TestA5_ReusedUPNAtKerberos renames a person and gives the old UPN to another: when that one
// has a certificate, the old file signs in as neither.
func TestA5_ReusedUPNAtKerberos(t *testing.T) {
	p, k := start(t, "anna")
	anna := p.Add("anna", fixture.SIDPrefix+"1101")
	old := p.Deliver(anna, "Old phone", deliver.FormatLegacy)
	wantAdmitted(t, k, "anna", old)

	next := p.ReuseUPN(anna, "anna2", fixture.SIDPrefix+"1103")
	file := p.Deliver(next, "New phone", deliver.FormatLegacy)
	k.Replace(p.Lists()...)
	k.Restart()
	wantRefused(t, k, "anna", old, "revoked")
	wantAdmitted(t, k, "anna", file)
}

func TestDocsSayWhatIsTried(t *testing.T) {
	_, k := start(t)
	testkit.DocsAgree(t, "relying-parties.md", "kdc", "/var/lib/pki", k.Config(), k.Folder())
}
