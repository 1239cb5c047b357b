package replicas

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
)

// rollingRestart restarts each portal while people enrol, as systemd does, the next one when
// the last is ready. No request fails.
func (c *cluster) rollingRestart(t *testing.T, balancers []*balancer) {
	noErrors(t, balancers)
	before, began := len(c.got), time.Now()
	stop := c.load(t, balancers, 10)
	for _, p := range c.portals {
		running := p.running
		asked := time.Now()
		p.stop()
		t.Logf("portal %s ended after %s", p.name, time.Since(asked).Round(100*time.Millisecond))
		testkit.Contains(t, "the end of "+p.name, running.Log(), "msg=stopped")
		p.start()
	}
	stop()
	took := time.Since(began)
	t.Logf("%d enrolments in %s, %.1f a second", len(c.got)-before, took.Round(time.Second), float64(len(c.got)-before)/took.Seconds())
	noErrors(t, balancers)
}

// secondSignal ends a portal that serves on after the first.
func (c *cluster) secondSignal(t *testing.T) {
	p := c.portals[0]
	testkit.NoError(t, p.running.Signal(syscall.SIGTERM))
	testkit.Eventually(t, "it serves on", func() bool { return strings.Contains(p.running.Log(), "readiness is red") })
	p.running.Stop()
	if strings.Contains(p.running.Log(), "msg=stopped") {
		t.Error("it waited")
	}
	p.running = nil
}

// People enrol through both balancers while portals are killed and the database restarts. They
// see few errors, begin again, and nothing that they got is lost. The table that it prints is in
// docs/replicas.md.
func TestF1_PortalsAreKilledBehindBalancers(t *testing.T) {
	if !long() {
		t.Skip("runs for minutes: scripts/test long")
	}
	var server pgtest.Server
	t.Cleanup(server.Stop)
	c := newCluster(t, server.Database(t))
	balancers := []*balancer{haproxy(t, c.portals), nginx(t, c.portals)}
	stop := c.load(t, balancers, 10)
	for round := range testkit.Times(t, 6) {
		wait(t, 3*time.Second)
		if round%3 == 2 {
			server.Restart(t)
			continue
		}
		p := c.portals[rand.N(len(c.portals))]
		p.kill()
		wait(t, 2*time.Second)
		p.start()
	}
	stop()
	c.finish(t, "kills, database restarts", balancers)
}
