package enroll_test

import (
	"crypto/x509"
	"testing"
	"time"

	"certportal/ca/fetch"
	"certportal/ca/upstream/step"
	"certportal/ca/upstream/wire"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/standin"
	"certportal/internal/test/stepca"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// The real step-ca: its list is read, and names what was revoked there.
func TestStepCAListNamesWhatIsBlocked(t *testing.T) {
	s := stepca.Start(t, stepca.Config{Template: testkit.DocBlocks(t, "upstream-step-ca.md", "gotemplate")[0]})
	client := testkit.Must(step.New(step.Config{
		Wire:        wire.Config{URL: s.URL, Anchors: []*x509.Certificate{s.Root}},
		Provisioner: stepca.Provisioner,
		Key:         func() (string, error) { return s.Key, nil },
		Password:    func() (string, error) { return stepca.Password, nil },
	}))(t)
	roots := x509.NewCertPool()
	roots.AddCert(s.Root)
	clock := testkit.NewRunningClock()
	p := fixture.NewPortalAt(t, clock, fixture.SQLite(t), func(c *enroll.Config) {
		c.Profile, c.Lists = standin.Profile(t), &fetch.Client{Roots: roots}
		c.Upstream = &enroll.Upstream{
			Name: "upstream-company", CA: client, Anchors: []*x509.Certificate{s.Root}, Intermediates: []*x509.Certificate{s.Issuer},
		}
	})
	anna := p.Add("anna", fixture.SIDPrefix+"1101")
	done := p.MustEnroll(anna, "Phone", "form")
	testkit.NoError(t, p.SweepUpstream(t.Context()))
	lists := testkit.Must(p.DB.UpstreamLists(t.Context()))(t)
	if len(lists) != 1 || lists[0].Problem != "" || lists[0].Number == "" || lists[0].Address != s.URL+"/1.0/crl" {
		t.Fatalf("lists: %+v\n%s", lists, s.Log())
	}
	testkit.NoError(t, p.Block(t.Context(), fixture.Employee(anna), enroll.Block{Person: anna.ID, Device: done.Device, Cause: portal.Lost}))
	testkit.NoError(t, p.SweepUpstream(t.Context()))
	clock.Advance(2 * time.Minute)
	testkit.NoError(t, p.SweepUpstream(t.Context()))
	c := testkit.Must(p.Device(t.Context(), anna.ID, done.Device))(t).Certificate
	if c.Confirmed.IsZero() || c.Named.IsZero() || !c.Absent.IsZero() {
		t.Errorf("confirmed %v, named %v, absent %v\n%s", c.Confirmed, c.Named, c.Absent, s.Log())
	}
}
