package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// step sets the clock of the machine forward or back, under the running portal.
func (p *powered) step(seconds int) {
	p.t.Helper()
	p.machine.Do(fmt.Sprintf(`date -s "@$(( $(date +%%s) + %d ))"; echo "clock is set: %d"`, seconds, seconds))
	p.await("the clock", func() bool { return strings.Contains(p.machine.Log(), fmt.Sprintf("clock is set: %d", seconds)) })
}

// await looks until something is so.
func (p *powered) await(what string, so func() bool) {
	p.t.Helper()
	look, end := time.NewTicker(100*time.Millisecond), time.NewTimer(10*patience)
	defer look.Stop()
	defer end.Stop()
	for !so() {
		select {
		case <-look.C:
		case <-end.C:
			p.t.Fatalf("waiting for %s: it does not come", what)
		}
	}
}

// signedIn reports whether a session is alive.
func (p *powered) signedIn(c *http.Client) bool {
	p.t.Helper()
	status, _, err := p.get(p.t.Context(), c, "/")
	testkit.NoError(p.t, err)
	return status == http.StatusOK
}

// removeOne removes a device, whose certificate is revoked.
func (p *powered) removeOne(c *http.Client) {
	p.t.Helper()
	_, page, err := p.get(p.t.Context(), c, "/")
	testkit.NoError(p.t, err)
	card := deviceCard.FindStringSubmatch(page)
	if card == nil {
		p.t.Fatal("there is no device")
	}
	resp := testkit.Must(p.post(p.t.Context(), c, "/devices/"+card[1]+"/remove", nil))(p.t)
	if resp.StatusCode != http.StatusSeeOther {
		p.t.Fatalf("removing a device: %s", resp.Status)
	}
	p.revoked[card[2]] = true
}

// TestF8_ClockOfTheMachineIsSet sets the clock of a machine a day ahead and back, with date,
// under a running portal. Ahead, sessions end and lists of the future are made. After the
// way back no list is made, the log says so, and revocations are recorded all the same.
func TestF8_ClockOfTheMachineIsSet(t *testing.T) {
	inLong(t)
	p := startPowered(t)
	c := p.visitor()
	p.signIn(c, p.person("employee"))
	for _, name := range []string{"first", "second"} {
		if _, _, ok := p.tryEnrol(t.Context(), c, name); !ok {
			t.Fatal("no certificate was issued")
		}
	}
	p.checkList(t.Context())
	before := p.number
	const day = 24 * 60 * 60
	p.step(day)
	if p.signedIn(c) {
		t.Error("a session is alive after a day")
	}
	p.signIn(c, p.person("employee"))
	p.removeOne(c)
	p.await("a list of the future", func() bool {
		p.checkList(t.Context())
		return p.number > before
	})
	ahead := p.number
	p.step(-day)
	p.signIn(c, p.person("employee"))
	p.removeOne(c)
	p.await("the line in the log", func() bool { return strings.Contains(p.machine.Log(), "before the last list of") })
	p.checkList(t.Context())
	if p.number != ahead {
		t.Errorf("list %d was made by a clock that was set back, after %d", p.number, ahead)
	}
	p.shutdown()
	p.checkRecords()
}
