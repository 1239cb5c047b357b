package enroll_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func newTestIssuer(p *testPortal, change func(*enroll.TestConfig)) *enroll.TestIssuer {
	p.T.Helper()
	c := enroll.TestConfig{Directory: p.People, Issuer: p.Issuer, Store: p.DB, Revoked: p.Config.Revoked, Now: p.Clock.Now}
	if change != nil {
		change(&c)
	}
	return testkit.Must(enroll.NewTestIssuer(c))(p.T)
}

func testRequest(t *testing.T, person portal.Person) enroll.TestRequest {
	t.Helper()
	return enroll.TestRequest{By: portal.Operator(), Person: person.ID, Key: testkit.ECKey(t).Public(), Comment: "check of mail.corp.example"}
}

// The test certificate is a login of the person: recorded in full, good for client
// authentication only, and over within minutes.
func TestF1_TestCertificateIsRecordedAndShort(t *testing.T) {
	p := newPortal(t)
	issuer, req := newTestIssuer(p, nil), testRequest(t, p.anna)
	cert := testkit.Must(issuer.Issue(t.Context(), req))(t)
	if left := cert.NotAfter.Sub(p.Clock.Now()); left > 10*time.Minute {
		t.Errorf("it is valid for %v more", left)
	}
	if len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(cert.UnknownExtKeyUsage) != 0 {
		t.Errorf("usages %v %v, want client authentication alone", cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
	}
	if !ca.IssuedTo(cert, p.anna.Subject()) {
		t.Error("it has other names than those of the directory")
	}
	testkit.NoError(t, issuer.Revoke(t.Context(), req, cert, time.Minute))
	serial := testkit.Must(ca.SerialOf(cert.SerialNumber))(t)
	var actions []audit.Action
	for _, e := range p.Entries() {
		if e.Object == serial.String() {
			actions = append(actions, e.Action)
			if e.Actor != "operator" || e.Person != string(p.anna.ID) || e.Detail["comment"] != req.Comment {
				t.Errorf("entry %+v, want one about anna by the operator, with the comment", e)
			}
		}
	}
	want := []audit.Action{audit.CertificateReserved, audit.CertificateIssued, audit.CertificateRevoked}
	if len(actions) != len(want) || actions[0] != want[0] || actions[1] != want[1] || actions[2] != want[2] {
		t.Errorf("entries %v, want %v", actions, want)
	}
	testkit.Equal(t, "calls for a new list", p.Revoked.Load(), 1)
	testkit.Equal(t, "devices", len(testkit.Must(p.Devices(t.Context(), p.anna.ID))(t)), 0)
}

// TestA3_NoTestCertificateForWhoMayHaveNone asks for people who get no certificate.
func TestA3_NoTestCertificateForWhoMayHaveNone(t *testing.T) {
	p := newPortal(t)
	boss := p.Add("boss", fixture.SIDPrefix+"1180")
	gone := fixture.NewPerson("gone", fixture.SIDPrefix+"1190")
	halt := admin.Halt{Reason: "maintenance", Actor: "ada", Since: p.Clock.Now()}
	testkit.Must(p.DB.SetHalt(t.Context(), halt, fixture.NewEntry(p.Clock.Now(), audit.IssuingHalted, "ada")))(t)
	tests := []struct {
		name   string
		person portal.Person
		change func(*portal.Person)
		want   portal.Reason
	}{
		{"protected", boss, func(a *portal.Person) { a.Protected = true }, portal.Protected},
		{"disabled", boss, func(a *portal.Person) { a.Disabled = true }, portal.Disabled},
		{"not in the group", boss, func(a *portal.Person) { a.MayEnroll = false }, portal.NotAllowed},
		{"not in the directory", gone, nil, portal.Disabled},
		{"issuing is halted", p.anna, nil, portal.Halted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			issuer := newTestIssuer(p, func(c *enroll.TestConfig) { c.Directory = changed{Directory: p.People, change: tt.change} })
			_, err := issuer.Issue(t.Context(), testRequest(t, tt.person))
			var refusal *portal.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != tt.want {
				t.Fatalf("got %v, want a refusal %s", err, tt.want)
			}
			last := fixture.Last(t, p.Entries(), audit.EnrolmentRefused)
			if last.Person != string(tt.person.ID) || last.Detail["reason"] != string(tt.want) || last.Actor != "operator" {
				t.Errorf("the refusal is recorded as %+v", last)
			}
			testkit.Equal(t, "reserved", fixture.Count(p.Entries(), audit.CertificateReserved), 0)
		})
	}
}

// TestA15_TestCertificateIsNoDevices shows the key of a test certificate to the ways that
// a device renews by: minutes must not become a year.
func TestA15_TestCertificateIsNoDevices(t *testing.T) {
	p := newPortal(t, func(c *enroll.Config) { c.DeviceKeys = true })
	cert := testkit.Must(newTestIssuer(p, nil).Issue(t.Context(), testRequest(t, p.anna)))(t)
	_, err := p.Renew(t.Context(), portal.Actor{}, cert, testkit.ECKey(t).Public())
	var denial *portal.Denial
	if !errors.As(err, &denial) || denial.Why != portal.HolderUnknown {
		t.Errorf("renewing it: %v, want a denial %s", err, portal.HolderUnknown)
	}
}
