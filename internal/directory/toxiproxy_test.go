package directory_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/samba"
	"certportal/internal/test/toxiproxy"
)

// breakage is one kind of network failure.
type breakage struct {
	name string
	do   func(testing.TB, *toxiproxy.Proxy)
}

func breakages() []breakage {
	return []breakage{
		{"down", func(t testing.TB, p *toxiproxy.Proxy) { p.Down(t) }},
		{"slow", func(t testing.TB, p *toxiproxy.Proxy) { p.Latency(t, 30*time.Second) }},
		{"half open", func(t testing.TB, p *toxiproxy.Proxy) { p.HalfOpen(t) }},
		{"deaf", func(t testing.TB, p *toxiproxy.Proxy) { p.Deaf(t) }},
		{"reset", func(t testing.TB, p *toxiproxy.Proxy) { p.Reset(t) }},
		{"cut short", func(t testing.TB, p *toxiproxy.Proxy) { p.Limit(t, 100) }},
	}
}

// behind puts n proxies in front of the controller, each as one server.
func behind(t testing.TB, dc *samba.DC, n int) ([]*toxiproxy.Proxy, func(*directory.LDAPConfig)) {
	t.Helper()
	server := toxiproxy.Start(t)
	var proxies []*toxiproxy.Proxy
	for range n {
		proxies = append(proxies, server.Proxy(t, dc.Address+":636"))
	}
	return proxies, func(c *directory.LDAPConfig) {
		c.Servers = nil
		for _, p := range proxies {
			c.Servers = append(c.Servers, "ldaps://"+p.Address)
		}
	}
}

// TestF7_ADirectoryInTroubleIsAnOutage breaks the only server in every way, with open
// connections. No sign-in and no enrolment succeeds, none waits for ever, and the first
// request after the failure works.
func TestF7_ADirectoryInTroubleIsAnOutage(t *testing.T) {
	t.Parallel() // most of it is waiting
	dc := samba.Lease(t)
	proxies, through := behind(t, dc, 1)
	fx := newFixtureOver(t, dc, through)
	anna := dc.AddUser(t, samba.User{Login: "anna"})
	for _, b := range breakages() {
		t.Run(b.name, func(t *testing.T) {
			if _, err := fx.people.Authenticate(t.Context(), "anna", samba.Password); err != nil {
				t.Fatalf("before: %v", err)
			}
			b.do(t, proxies[0])
			wantOutage(t, map[string]func() error{
				"signing in": func() error {
					_, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, portal.Actor{Address: "192.0.2.1"})
					return err
				},
				"enrolling": func() error { _, err := fx.enrol(idOf(anna), b.name); return err },
			})
			if got := fx.serials(); got != 0 {
				t.Errorf("%d serials, want 0", got)
			}
			proxies[0].Mend(t)
		})
	}
	if _, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, portal.Actor{Address: "192.0.2.1"}); err != nil {
		t.Errorf("after all: %v", err)
	}
}

// wantOutage runs the requests concurrently. Each must return an outage of the directory.
func wantOutage(t *testing.T, requests map[string]func() error) {
	t.Helper()
	var waiting sync.WaitGroup
	for name, ask := range requests {
		waiting.Go(func() {
			err := ask()
			var outage *portal.Outage
			if !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
				t.Errorf("%s: %v, want an outage of the directory", name, err)
			}
		})
	}
	waiting.Wait()
}

// TestF7_SlowRoundTrips delays every response. The several requests of a sign-in together
// must end within [signin.DefaultTimeout]: with the longer delay, each of the steps that the
// directory is asked for would end in time alone.
func TestF7_SlowRoundTrips(t *testing.T) {
	t.Parallel() // most of it is waiting
	dc := samba.Lease(t)
	proxies, through := behind(t, dc, 1)
	fx := newFixtureOver(t, dc, through)
	anna := dc.AddUser(t, samba.User{Login: "anna"})
	for _, tt := range []struct {
		delay time.Duration
		late  bool
	}{{100 * time.Millisecond, false}, {signin.DefaultTimeout * 3 / 10, true}} {
		t.Run(tt.delay.String(), func(t *testing.T) {
			if _, err := fx.people.Authenticate(t.Context(), "anna", samba.Password); err != nil {
				t.Fatalf("before: %v", err)
			}
			proxies[0].Latency(t, tt.delay)
			p, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, portal.Actor{Address: "192.0.2.1"})
			var outage *portal.Outage
			if tt.late && !errors.As(err, &outage) || !tt.late && (err != nil || p.ID != idOf(anna)) {
				t.Errorf("got %q, %v, want an outage %t", p.ID, err, tt.late)
			}
			proxies[0].Mend(t)
		})
	}
}

// TestF7_TheSecondServerIsUsed breaks the first of two servers while its connections are in
// use. The same sign-in continues with the second server. After the repair the first is
// used again.
func TestF7_TheSecondServerIsUsed(t *testing.T) {
	t.Parallel() // most of it is waiting
	dc := samba.Lease(t)
	proxies, through := behind(t, dc, 2)
	fx := newFixtureOver(t, dc, through)
	anna := dc.AddUser(t, samba.User{Login: "anna"})
	signIn := func(t *testing.T, when string) {
		t.Helper()
		p, err := fx.people.Authenticate(t.Context(), "anna", samba.Password)
		if err != nil || p.ID != idOf(anna) {
			t.Errorf("%s: %q, %v, want %q", when, p.ID, err, anna.GUID)
		}
	}
	for _, b := range breakages() {
		t.Run(b.name, func(t *testing.T) {
			signIn(t, "both in order")
			b.do(t, proxies[0])
			signIn(t, "first broken")
			signIn(t, "first known to be broken")
			proxies[0].Mend(t)
			fx.ahead.Add(int64(time.Minute)) // the rest it is given is over
			proxies[1].Down(t)
			signIn(t, "first mended, second down")
			proxies[1].Mend(t)
			fx.ahead.Add(int64(time.Minute))
		})
	}
}

// TestF7_AnAnswerInCrumbsIsAnAnswer delivers responses in small pieces.
func TestF7_AnAnswerInCrumbsIsAnAnswer(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	proxies, through := behind(t, dc, 1)
	fx := newFixtureOver(t, dc, through)
	anna := dc.AddUser(t, samba.User{Login: "anna"})
	proxies[0].Slice(t, 48, time.Millisecond)
	if p, err := fx.people.Authenticate(t.Context(), "anna", samba.Password); err != nil || p.ID != idOf(anna) {
		t.Errorf("right password: %q, %v, want %q", p.ID, err, anna.GUID)
	}
	if _, err := fx.people.Authenticate(t.Context(), "anna", "wrong-one"); !errors.Is(err, portal.ErrCredentials) {
		t.Errorf("wrong password: %v, want ErrCredentials", err)
	}
}

// TestF7_CutAnywhere cuts the connections after an increasing number of bytes. Every sign-in
// ends with the right result or an outage, and a wrong password is counted at most once:
// it is never sent to the second server too.
func TestF7_CutAnywhere(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	dc.Modify(t, samba.Base, map[string][]string{"lockoutThreshold": {"1000"}})
	proxies, through := behind(t, dc, 2)
	c := domain(dc)
	through(&c)
	anna := dc.AddUser(t, samba.User{Login: "anna"})
	answered, lost := 0, 0
	for size := 0; size < 9000; size += 150 {
		people := openLDAP(t, c)
		proxies[0].Limit(t, size)
		proxies[1].Limit(t, size)
		before := dc.BadPasswords(t, anna.DN)
		_, err := people.Authenticate(t.Context(), "anna", "wrong-one")
		switch reasonOf(err) {
		case credentials:
			answered++
		case "fault":
			lost++
		default:
			t.Errorf("wrong password, cut after %d bytes: %v", size, err)
		}
		if got := dc.BadPasswords(t, anna.DN) - before; got > 1 {
			t.Errorf("cut after %d bytes: one try counted %d times", size, got)
		}
		p, err := people.Authenticate(t.Context(), "anna", samba.Password)
		if err == nil && p.ID != idOf(anna) || err != nil && reasonOf(err) != "fault" {
			t.Errorf("right password, cut after %d bytes: %q, %v", size, p.ID, err)
		}
		proxies[0].Mend(t)
		proxies[1].Mend(t)
		people.Close()
	}
	if answered == 0 || lost == 0 {
		t.Errorf("%d answers and %d losses: the cuts miss what they should hit", answered, lost)
	}
}
