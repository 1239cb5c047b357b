package enroll_test

import (
	"fmt"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestF6_AnswerToACommitIsLost cuts the connection to PostgreSQL between a COMMIT and its
// answer, 20 times, 200 in long tests, in turn at the reservation and at the completion of an
// enrolment. What was completed is given out; what was reserved is ended unsigned, and the same
// request again leads to a certificate. Sent once more, here or elsewhere, it leads to the same
// one: no request leads to two.
func TestF6_AnswerToACommitIsLost(t *testing.T) {
	proxy := pgtest.NewProxy(t, fixture.Postgres(t))
	f := fixture.NewPortalAt(t, testkit.NewClock(), proxy.Address, func(c *enroll.Config) { c.Quota = 1000 })
	p := &testPortal{Portal: f, anna: f.Add("anna", fixture.SIDPrefix+"1101")}
	other := f.NewRegistrar(func(c *enroll.Config) { c.Store = fixture.Open(t, proxy.Address) })
	outcomes := map[string]int{}
	times := testkit.Either(t, 20, 200)
	for n := range times {
		name := fmt.Sprint("phone ", n)
		proxy.LoseCommit(1 + n%2)
		first, err := p.Enroll(t.Context(), p.request(name, name))
		proxy.LoseCommit(0)
		testkit.Equal(t, "answers lost", proxy.Lost(), n+1)
		second, again := p.Enroll(t.Context(), p.request(name, name))
		state := portal.Status("none")
		if again == nil {
			state = p.device(second.Device).Certificate.Status
		}
		outcomes[fmt.Sprintf("COMMIT %d: first failed %v, again failed %v: %s", 1+n%2, err != nil, again != nil, state)]++
		third, err3 := other.Enroll(t.Context(), p.request(name, name))
		if again != nil || err3 != nil || third.Serial != second.Serial || err == nil && first.Serial != second.Serial {
			t.Errorf("%s: first %s, again %s, %v, elsewhere %s, %v", name, first.Serial, second.Serial, again, third.Serial, err3)
		}
	}
	testkit.Equal(t, "certificates issued", fixture.Count(p.Entries(), audit.CertificateIssued), times)
	for outcome, n := range outcomes {
		t.Log(n, outcome)
	}
}
