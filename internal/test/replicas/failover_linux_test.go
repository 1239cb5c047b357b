package replicas

import (
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// The primary of a PostgreSQL under Patroni is killed while people enrol. What they were given
// is in the records of the new primary, no serial is twice, what they saw besides said that
// nothing was issued, and the portals go on. Two of them ask HAProxy for the primary, one
// looks for it itself. "scripts/test long" kills whole nodes, again and again; with
// CERTPORTAL_LONG=1 PostgreSQL alone is killed once.
func TestF5_DatabaseFailsOver(t *testing.T) {
	if !long() {
		t.Skip("runs for a minute: scripts/test long")
	}
	t.Parallel() // it waits most of the time
	names := []string{"one", "two"}
	rounds := testkit.Times(t, 1)
	nodes := rounds > 1
	if nodes {
		names = append(names, "three")
	}
	records := newPatroni(t, names...)
	c := newClusterOn(t, []string{records.behind, records.behind, records.among})
	b := haproxy(t, c.portals)
	stop := c.load(t, []*balancer{b}, 10)
	c.goesOn(t, 10)
	for range rounds {
		old := records.primary()
		began := time.Now()
		if nodes {
			old.kill() // with Patroni: the others wait until it is surely gone
		} else {
			old.killPostgres()
		}
		testkit.Eventually(t, "another primary", func() bool { now := records.primary(); return now != nil && now != old })
		t.Logf("another primary after %s", time.Since(began).Round(100*time.Millisecond))
		c.goesOn(t, 20)
		if nodes {
			old.start()
			records.synchronous()
		}
	}
	stop()
	t.Log(records.history())
	for _, wrong := range b.watch.wrong("nothing was issued", "We cannot reach our records right now", "That did not work") {
		t.Errorf("a person saw: %s", wrong)
	}
	c.finish(t, "fail-over of the database", []*balancer{b})
	t.Log(c.portals[0].run("audit", "verify"))
}

// goesOn waits until people got more certificates.
func (c *cluster) goesOn(t *testing.T, more int) {
	t.Helper()
	until := c.held() + more
	testkit.Eventually(t, "people get certificates", func() bool { return c.held() >= until })
}
