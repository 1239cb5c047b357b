package radius_test

import (
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/deliver"
	"certportal/internal/test/radius"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func start(t *testing.T) (*fixture.LivePortal, *radius.Server) {
	t.Helper()
	p := fixture.NewLivePortal(t)
	return p, radius.Start(t, radius.Config{
		Root: string(ca.PEM(p.Hierarchy.Root)), Issuing: string(ca.PEM(p.Hierarchy.Issuing)), Lists: p.Lists(),
	})
}

func wantAdmitted(t *testing.T, s *radius.Server, name string, d fixture.Delivered) {
	t.Helper()
	if got := s.Login(name, d.File, d.Password); !got.Admitted {
		t.Errorf("%s: %s, want let in", name, got)
	}
}

// wantRefused requires a reason, so that a server which refuses all files does not pass.
func wantRefused(t *testing.T, s *radius.Server, name string, d fixture.Delivered, why string) {
	t.Helper()
	if got := s.Login(name, d.File, d.Password); got.Admitted || !strings.Contains(got.Why, why) {
		t.Errorf("%s: %s, want refused: %s", name, got, why)
	}
}

// TestA12_RadiusGoesByTheList signs in by EAP-TLS with files as delivered: as their
// person, not as another, and not after the revocation.
func TestA12_RadiusGoesByTheList(t *testing.T) {
	p, s := start(t)
	anna, ben := p.Add("anna", fixture.SIDPrefix+"1101"), p.Add("ben", fixture.SIDPrefix+"1102")
	lost := p.Deliver(anna, "Phone", deliver.FormatLegacy)
	kept, other := p.Deliver(anna, "Laptop", deliver.FormatModern), p.Deliver(ben, "Phone", deliver.FormatLegacy)
	for _, d := range []fixture.Delivered{lost, kept} {
		wantAdmitted(t, s, anna.UPN, d)
	}
	wantAdmitted(t, s, "Ben@CORP.example", other)
	wantRefused(t, s, ben.UPN, kept, "another person")
	wantRefused(t, s, anna.UPN, other, "another person")

	p.Lose(anna, lost)
	s.Replace(p.Lists()...)
	s.Restart()
	wantRefused(t, s, anna.UPN, lost, "certificate revoked")
	wantAdmitted(t, s, anna.UPN, kept)
	wantAdmitted(t, s, ben.UPN, other)

	s.Replace(p.ExpiredLists()...)
	s.Restart()
	wantRefused(t, s, anna.UPN, kept, "CRL has expired")
}

// TestA5_ReusedUPNAtRadius renames a person and gives the old UPN to another: when that one
// has a certificate, the old file signs in as neither.
func TestA5_ReusedUPNAtRadius(t *testing.T) {
	p, s := start(t)
	anna := p.Add("anna", fixture.SIDPrefix+"1101")
	old := p.Deliver(anna, "Old phone", deliver.FormatLegacy)
	wantAdmitted(t, s, anna.UPN, old)

	next := p.ReuseUPN(anna, "anna2", fixture.SIDPrefix+"1103")
	file := p.Deliver(next, "New phone", deliver.FormatLegacy)
	s.Replace(p.Lists()...)
	s.Restart()
	wantRefused(t, s, anna.UPN, old, "revoked")
	wantAdmitted(t, s, anna.UPN, file)
}

func TestDocsSayWhatIsTried(t *testing.T) {
	_, s := start(t)
	testkit.DocsAgree(t, "relying-parties.md", "radius", "/var/lib/pki", s.Config(), s.Folder())
}
