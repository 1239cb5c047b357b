package enroll_test

import (
	"testing"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// testPortal is a portal whose only employee is anna, who may have two devices.
type testPortal struct {
	*fixture.Portal
	anna portal.Person
}

func newPortal(t *testing.T, change ...func(*enroll.Config)) *testPortal {
	t.Helper()
	change = append([]func(*enroll.Config){func(c *enroll.Config) { c.Quota = 2 }}, change...)
	p := fixture.NewPortal(t, change...)
	return &testPortal{Portal: p, anna: p.Add("anna", fixture.SIDPrefix+"1101")}
}

func (p *testPortal) actor() portal.Actor { return fixture.Employee(p.anna) }

func (p *testPortal) token(e enroll.Enrolment) enroll.Token { return p.PickupKey.Token(e.Serial) }

func (p *testPortal) request(name, form string) enroll.Request { return p.Request(p.anna, name, form) }

func (p *testPortal) enroll(name, form string) enroll.Enrolment {
	p.T.Helper()
	return p.MustEnroll(p.anna, name, form)
}

func (p *testPortal) device(id portal.DeviceID) portal.Device {
	p.T.Helper()
	return testkit.Must(p.Device(p.T.Context(), p.anna.ID, id))(p.T)
}
