package signin_test

import (
	"testing"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit/fixture"
)

// testPortal is a portal whose only employee is anna.
type testPortal struct {
	*fixture.Portal
	anna portal.Person
	hedi portal.Person // helpdesk, where the test needs one
}

func newPortal(t *testing.T) *testPortal {
	t.Helper()
	p := fixture.NewPortal(t, func(c *enroll.Config) { c.Quota = 2 })
	return &testPortal{Portal: p, anna: p.Add("anna", fixture.SIDPrefix+"1101")}
}

func (p *testPortal) actor() portal.Actor { return fixture.Employee(p.anna) }

func (p *testPortal) request(name, form string) enroll.Request { return p.Request(p.anna, name, form) }
