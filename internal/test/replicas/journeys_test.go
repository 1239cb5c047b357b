package replicas

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
)

// Three portals behind HAProxy and nginx, as docs/replicas.md sets them up, without
// stickiness: whole journeys go on at any portal, and what one of them decides holds at all.
// It takes 40 s: half of that are three restarts, in which each portal serves on for 5 s.
func TestPortalsBehindBalancers(t *testing.T) {
	slow(t)
	var server pgtest.Server
	t.Cleanup(server.Stop)
	c := newCluster(t, server.Database(t))
	balancers := []*balancer{haproxy(t, c.portals), nginx(t, c.portals)}
	c.add("helen", portal.Helpdesk)
	for _, b := range balancers {
		who := strings.ToLower(b.name)
		for _, kind := range []string{"anna", "bert", "carl", "dora"} {
			c.add(kind + "." + who)
		}
		t.Run(b.name+"/journey", func(t *testing.T) { c.journey(t, b, "anna."+who) })
		t.Run(b.name+"/hand-off", func(t *testing.T) { c.handOff(t, b, "anna."+who) })
		t.Run(b.name+"/pickup code", func(t *testing.T) { c.pickupCode(t, b, "bert."+who) })
		t.Run(b.name+"/tries are counted together", func(t *testing.T) { c.throttled(t, b, "carl."+who) })
		t.Run(b.name+"/halt", func(t *testing.T) { c.halted(t, b, "dora."+who) })
	}
	t.Run("next CA", func(t *testing.T) { c.nextCA(t, balancers) })
	t.Run("rolling restart", func(t *testing.T) { c.rollingRestart(t, balancers) })
	c.finish(t, "rolling restart", balancers)
	t.Run("second signal", func(t *testing.T) { c.secondSignal(t) })
}

// finish compares people's certificates with the records and prints the table of
// docs/replicas.md.
func (c *cluster) finish(t *testing.T, what string, balancers []*balancer) {
	t.Helper()
	c.nothingPending()
	lost, twice := c.check()
	testkit.Equal(t, "certificates lost", lost, 0)
	testkit.Equal(t, "serials twice", twice, 0)
	for _, b := range balancers {
		t.Log(b.watch.row(what+", "+b.name, lost, twice))
	}
}

// noErrors wants people to have seen none.
func noErrors(t *testing.T, balancers []*balancer) {
	t.Helper()
	for _, b := range balancers {
		if n := b.watch.errors(); n > 0 {
			t.Errorf("people saw %d errors: %s", n, b.watch.row(b.name))
		}
	}
}

// journey signs in, fetches a file twice, and reports the phone lost: the list and all
// portals say so.
func (c *cluster) journey(t *testing.T, b *balancer, login string) {
	ctx, phone := t.Context(), b.newBrowser(t)
	testkit.NoError(t, phone.signIn(ctx, login))
	f := testkit.Must(phone.enrol(ctx, "Phone"))(t)
	for range 4 { // the page of the file is there at each portal, with the same certificate
		again := testkit.Must(phone.fetch(ctx, f.device+"/install"))(t)
		testkit.Equal(t, "serial", again.leaf.SerialNumber.Cmp(f.leaf.SerialNumber), 0)
	}
	request := rand.Text()
	second := testkit.Must(phone.enrolBy(ctx, "Tablet", request))(t)
	for range 3 { // the same form again, at another portal
		again := testkit.Must(phone.enrolBy(ctx, "Tablet", request))(t)
		testkit.Equal(t, "serial of the form sent again", again.leaf.SerialNumber.Cmp(second.leaf.SerialNumber), 0)
	}
	c.keep(second)

	a := testkit.Must(phone.post(ctx, f.device+"/lost", "reason", "lost"))(t)
	testkit.NoError(t, a.is(http.StatusSeeOther))
	testkit.Eventually(t, "the list names it at each portal", func() bool {
		for range 6 {
			a, err := phone.get(ctx, "http://"+plainName+"/crl/issuing.crl")
			list, bad := x509.ParseRevocationList([]byte(a.body))
			if err != nil || bad != nil || !names(list, f.leaf) {
				return false
			}
		}
		return true
	})
	a = testkit.Must(phone.post(ctx, "/logout"))(t)
	testkit.NoError(t, a.is(http.StatusSeeOther))
	for range 6 {
		if a := testkit.Must(phone.get(ctx, "/"))(t); a.status == http.StatusOK {
			t.Error("a session that was ended lives on at another portal")
		}
	}
}

func names(list *x509.RevocationList, leaf *x509.Certificate) bool {
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
			return true
		}
	}
	return false
}

// handOff brings a person from a desktop to the phone.
func (c *cluster) handOff(t *testing.T, b *balancer, login string) {
	ctx, desktop, phone := t.Context(), b.newBrowser(t), b.newBrowser(t)
	testkit.NoError(t, desktop.signIn(ctx, login))
	a := testkit.Must(desktop.post(ctx, "/handoff"))(t)
	testkit.NoError(t, a.is(http.StatusSeeOther))
	shown := testkit.Must(desktop.get(ctx, "/handoff"))(t)
	code := testkit.Must(shown.find(`id="handoff-code">([^<]+)<`))(t)
	number := testkit.Must(shown.find(`id="handoff-number">([^<]+)<`))(t)
	path := "/go/" + strings.ReplaceAll(code, "-", "")
	testkit.NoError(t, testkit.Must(phone.get(ctx, path))(t).is(http.StatusOK))
	a = testkit.Must(phone.post(ctx, path, "number", number))(t)
	testkit.NoError(t, a.is(http.StatusSeeOther))
	c.keep(testkit.Must(phone.enrol(ctx, "Handed over"))(t))
	// The delivery is recorded when the last octet was sent; until then the page reloads itself.
	testkit.Eventually(t, "the desktop names the device", func() bool {
		a, err := desktop.get(ctx, "/handoff")
		return err == nil && strings.Contains(a.body, "Handed over")
	})
	for range 3 {
		a := testkit.Must(desktop.get(ctx, "/handoff"))(t)
		testkit.Contains(t, "the desktop", a.body, "Handed over")
		a = testkit.Must(b.newBrowser(t).post(ctx, path, "number", number))(t)
		if a.status == http.StatusSeeOther {
			t.Error("the code was taken twice")
		}
	}
}

// pickupCode brings a code of the helpdesk to a phone.
func (c *cluster) pickupCode(t *testing.T, b *balancer, login string) {
	ctx, desk, phone := t.Context(), b.newBrowser(t), b.newBrowser(t)
	testkit.NoError(t, desk.signIn(ctx, "helen"))
	found := testkit.Must(desk.get(ctx, "/helpdesk?q="+login))(t)
	testkit.NoError(t, found.is(http.StatusSeeOther))
	a := testkit.Must(desk.post(ctx, found.location+"/code", "checked", "in-person", "purpose", "new", "note", "", "device", ""))(t)
	testkit.NoError(t, a.is(http.StatusSeeOther))
	code := testkit.Must(testkit.Must(desk.get(ctx, a.location))(t).find(`id="pickup-code">([^<]+)<`))(t)
	testkit.NoError(t, phone.signIn(ctx, login))
	a = testkit.Must(phone.post(ctx, "/pickup", "code", code))(t)
	testkit.NoError(t, a.is(http.StatusSeeOther))
	c.keep(testkit.Must(phone.enrol(ctx, "By code"))(t))
	for range 3 {
		if a := testkit.Must(phone.post(ctx, "/pickup", "code", code))(t); a.status == http.StatusSeeOther && strings.HasPrefix(a.location, "/new") {
			t.Error("the code was taken twice")
		}
	}
}

// throttled types wrong passwords: all portals together allow as many as one.
func (c *cluster) throttled(t *testing.T, b *balancer, login string) {
	ctx, guesser := t.Context(), b.newBrowser(t)
	judged := 0
	for range 4 * signin.DefaultTries {
		a := testkit.Must(guesser.post(ctx, "/login", "username", login, "password", "a wrong password"))(t)
		if a.status == http.StatusTooManyRequests {
			break
		}
		judged++
	}
	testkit.Equal(t, "wrong passwords that were judged", judged, signin.DefaultTries)
	for range 3 {
		a := testkit.Must(guesser.post(ctx, "/login", "username", login, "password", password))(t)
		testkit.Equal(t, "status of the right password in the pause", a.status, http.StatusTooManyRequests)
	}
}

// halted stops issuing from one machine: no portal issues until another lets it go on.
func (c *cluster) halted(t *testing.T, b *balancer, login string) {
	ctx, phone := t.Context(), b.newBrowser(t)
	phone.watch = nil // its refusals are wanted
	testkit.NoError(t, phone.signIn(ctx, login))
	testkit.NoError(t, testkit.Must(phone.get(ctx, "/new"))(t).is(http.StatusOK))
	c.portals[0].run("halt", "--reason", "Moving the servers")
	for n := range 6 {
		a, _ := phone.post(ctx, "/new", "name", fmt.Sprint("Phone ", n), "platform", "android", "request", rand.Text())
		testkit.Equal(t, "status while issuing is halted", a.status, http.StatusServiceUnavailable)
		testkit.Contains(t, "the page", a.body, "Moving the servers")
	}
	c.portals[1].run("resume")
	for n := range 3 {
		c.keep(testkit.Must(phone.enrol(ctx, fmt.Sprint("Later phone ", n)))(t))
	}
}

// nextCA makes the next CA on one machine, brings its files to the others, and lets it issue.
func (c *cluster) nextCA(t *testing.T, balancers []*balancer) {
	c.portals[0].run("ca", "next")
	made := testkit.Must(filepath.Glob(filepath.Join(c.portals[0].data, "ca", "issuing-*.crt")))(t)
	testkit.Equal(t, "next CAs", len(made), 1)
	sealed := filepath.Join(t.TempDir(), "ca.age")
	c.portals[0].run("ca", "copy-to", sealed)
	for _, p := range c.portals[1:] {
		p.run("ca", "copy-from", sealed)
	}
	next := certificate(t, made[0])
	testkit.Eventually(t, "the next CA may issue", func() bool {
		out, err := c.portals[1].command("ca", "activate").CombinedOutput()
		if err != nil {
			t.Logf("%s", out)
		}
		return err == nil
	})
	for _, b := range balancers {
		phone := b.newBrowser(t)
		testkit.NoError(t, phone.signIn(t.Context(), "anna."+strings.ToLower(b.name)))
		for n := range 6 {
			f := testkit.Must(phone.enrol(t.Context(), fmt.Sprint("New phone ", n)))(t)
			testkit.NoError(t, f.leaf.CheckSignatureFrom(next))
			c.keep(f)
		}
	}
}
