package enroll_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// watched is a directory that reports each answer about a person.
type watched struct {
	portal.Directory
	asked chan struct{}
}

func (w watched) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := w.Directory.Person(ctx, id)
	select {
	case w.asked <- struct{}{}:
	default:
	}
	return p, err
}

// domainPortal is a portal whose directory is a domain controller.
func domainPortal(t *testing.T, dc *samba.DC) *testPortal {
	t.Helper()
	people := testkit.Must(directory.NewLDAP(directory.LDAPConfig{
		Kind: directory.ActiveDirectory, Servers: []string{dc.URL()}, Roots: dc.Roots,
		User: samba.Reader, Password: func() (string, error) { return samba.ReaderPassword, nil },
		Domain: samba.Domain, Log: slog.New(slog.DiscardHandler),
	}))(t)
	t.Cleanup(func() { people.Close() })
	p := fixture.NewPortal(t, func(c *enroll.Config) { c.Directory, c.DeviceKeys, c.Quota = people, true, 50 })
	return &testPortal{Portal: p}
}

// way is a way to a certificate. It is prepared while the account is good, and asks
// later.
type way struct {
	name    string
	pool    bool // the portal makes the key
	prepare func(t *testing.T, p *testPortal, n int) func(context.Context, *enroll.Registrar) error
}

func (p *testPortal) self() portal.Actor {
	return portal.Actor{Person: p.anna.ID, Role: portal.Employee, Address: "192.0.2.1", Request: "r"}
}

func (p *testPortal) newDevice(n int, form string) enroll.Request {
	return enroll.Request{
		By: p.self(), Name: fmt.Sprint(form, " ", n), Platform: portal.Android, Idempotent: fmt.Sprint(form, n), PickupKey: p.PickupKey,
	}
}

// ways are all of them: what a new one does in another order is found here.
func ways() []way {
	enrol := func(req enroll.Request) func(context.Context, *enroll.Registrar) error {
		return func(ctx context.Context, r *enroll.Registrar) error { _, err := r.Enroll(ctx, req); return err }
	}
	return []way{
		{"key of the portal", true, func(t *testing.T, p *testPortal, n int) func(context.Context, *enroll.Registrar) error {
			return enrol(p.newDevice(n, "phone"))
		}},
		{"new file", true, func(t *testing.T, p *testPortal, n int) func(context.Context, *enroll.Registrar) error {
			req := p.newDevice(n, "file")
			req.Device = testkit.Must(p.Enroll(t.Context(), p.newDevice(0, "device")))(t).Device
			return enrol(req)
		}},
		{"renew page", true, func(t *testing.T, p *testPortal, n int) func(context.Context, *enroll.Registrar) error {
			req := p.newDevice(n, "renewal")
			done := testkit.Must(p.Enroll(t.Context(), p.newDevice(0, "device")))(t)
			if n == 0 {
				p.read(done)
				p.Clock.Advance(310 * day)
			}
			req.Device, req.Renew = done.Device, true
			return enrol(req)
		}},
		{"request pasted", false, func(t *testing.T, p *testPortal, n int) func(context.Context, *enroll.Registrar) error {
			_, pasted := request(t)
			return func(ctx context.Context, r *enroll.Registrar) error {
				_, err := r.EnrollRequest(ctx, p.newDevice(n, "server"), pasted)
				return err
			}
		}},
		{"SCEP", false, func(t *testing.T, p *testPortal, n int) func(context.Context, *enroll.Registrar) error {
			c := testkit.Must(p.NewChallenge(t.Context(), p.newDevice(n, "scep")))(t)
			key := testkit.ECKey(t).Public()
			return func(ctx context.Context, r *enroll.Registrar) error {
				_, err := r.Redeem(ctx, portal.Actor{}, c.Secret, key)
				return err
			}
		}},
		{"SCEP renewal", false, func() func(t *testing.T, p *testPortal, n int) func(context.Context, *enroll.Registrar) error {
			ask := func(context.Context, *enroll.Registrar, crypto.PublicKey) error { return nil }
			return func(t *testing.T, p *testPortal, n int) func(context.Context, *enroll.Registrar) error {
				if n == 0 {
					c := testkit.Must(p.NewChallenge(t.Context(), p.newDevice(0, "scep")))(t)
					holder := testkit.Must(p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
					p.Clock.Advance(310 * day)
					ask = func(ctx context.Context, r *enroll.Registrar, key crypto.PublicKey) error {
						_, err := r.Renew(ctx, portal.Actor{}, holder, key)
						return err
					}
				}
				key := testkit.ECKey(t).Public()
				return func(ctx context.Context, r *enroll.Registrar) error { return ask(ctx, r, key) }
			}
		}()},
	}
}

// TestA11_DisabledWhileItWaitsForAKey: the request is held where keys are made, or
// behind one of the same person that is, while the account is switched off. Every way
// to a certificate is tried 20 times.
func TestA11_DisabledWhileItWaitsForAKey(t *testing.T) {
	dc := samba.Lease(t)
	t.Run("ways", func(t *testing.T) {
		for i, w := range ways() {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				account := dc.AddUser(t, samba.User{Login: fmt.Sprint("anna", i)})
				p := domainPortal(t, dc)
				p.anna = testkit.Must(p.Config.Directory.Person(t.Context(), portal.PersonID(account.GUID)))(t)
				for n := range 20 {
					p.disabledWhileHeld(t, dc, account, w, n)
				}
			})
		}
	})
}

func (p *testPortal) disabledWhileHeld(t *testing.T, dc *samba.DC, account samba.Entry, w way, n int) {
	t.Helper()
	ask := w.prepare(t, p, n)
	before := fixture.Count(p.Entries(), audit.CertificateReserved)
	people := watched{p.Config.Directory, make(chan struct{}, 1)}
	pool := enroll.NewKeyPool(ca.ECP256, 0, slog.New(slog.DiscardHandler))
	// A registrar of its own: the next try need not wait after the refusal.
	r := p.NewRegistrar(func(c *enroll.Config) { c.Directory, c.Keys = people, pool })
	release := pool.Hold()
	answers := make(chan error, 2)
	asked := 1
	if !w.pool {
		asked++
		go func() { _, err := r.Enroll(t.Context(), p.newDevice(n, "in front")); answers <- err }()
		<-people.asked
	}
	go func() { answers <- ask(t.Context(), r) }()
	if w.pool {
		<-people.asked
	}
	dc.Disable(t, account.DN)
	release()
	for range asked {
		err := <-answers
		var refusal *portal.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != portal.Disabled {
			t.Errorf("try %d: got %v, want %s", n, err, portal.Disabled)
		}
	}
	if got := fixture.Count(p.Entries(), audit.CertificateReserved) - before; got != 0 {
		t.Errorf("try %d: %d serials for an account that is off", n, got)
	}
	dc.Enable(t, account.DN)
}

// oneKey is a pool with one key that makes no other.
func oneKey(t *testing.T) *enroll.KeyPool {
	t.Helper()
	pool := enroll.NewKeyPool(ca.ECP256, 1, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); pool.Run(ctx) }()
	testkit.Eventually(t, "a key is ready", func() bool { return pool.Ready() == 1 })
	stop()
	<-ended
	return pool
}

// late is a store that only finds in its transaction what is in the way, as when two
// requests run at the same time.
type late struct{ enroll.Store }

func (late) Admit(context.Context, enroll.Reservation) error { return nil }

// gone is a directory whose caller goes away while it looks.
type gone struct {
	portal.Directory
	leave context.CancelFunc
}

func (g gone) Person(ctx context.Context, _ portal.PersonID) (portal.Person, error) {
	g.leave()
	return portal.Person{}, ctx.Err()
}

// TestARefusalSpendsNoKey: neither a refusal nor a request that its sender breaks off
// uses up a key, however late it is decided.
func TestARefusalSpendsNoKey(t *testing.T) {
	p := newPortal(t)
	p.enroll("Phone", "first")
	pool := oneKey(t)
	with := func(change func(*portal.Person)) func(*enroll.Config) {
		return func(c *enroll.Config) { c.Directory = changed{Directory: p.People, change: change} }
	}
	afterwards := func(c *enroll.Config) { c.Store = late{c.Store} }
	for _, tt := range []struct {
		name   string
		change func(*enroll.Config)
		device string
	}{
		{"name taken", func(*enroll.Config) {}, "PHONE"},
		{"name taken in between", afterwards, "PHONE"},
		{"quota", func(c *enroll.Config) { c.Quota = 1 }, "Tablet"},
		{"quota in between", func(c *enroll.Config) { c.Quota = 1; afterwards(c) }, "Tablet"},
		{"protected", with(func(a *portal.Person) { a.Protected = true }), "Tablet"},
		{"disabled", with(func(a *portal.Person) { a.Disabled = true }), "Tablet"},
		{"UPN that fits no certificate", with(func(a *portal.Person) { a.UPN = "anna" }), "Tablet"},
		{"directory down", func(c *enroll.Config) { c.Directory = changed{Directory: p.People, err: io.ErrUnexpectedEOF} }, "Tablet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := p.NewRegistrar(func(c *enroll.Config) { c.Keys = pool; tt.change(c) })
			if _, err := r.Enroll(t.Context(), p.request(tt.device, "form")); err == nil {
				t.Error("a certificate")
			}
			testkit.Equal(t, "keys ready", pool.Ready(), 1)
		})
	}
	for name, change := range map[string]func(*enroll.Config){"halted": func(*enroll.Config) {}, "halted in between": afterwards} {
		t.Run(name, func(t *testing.T) {
			halt := admin.Halt{Reason: "audit", Actor: "ada", Since: p.Clock.Now()}
			testkit.Must(p.DB.SetHalt(t.Context(), halt, fixture.NewEntry(testkit.Noon, audit.IssuingHalted, "ada")))(t)
			r := p.NewRegistrar(func(c *enroll.Config) { c.Keys = pool; change(c) })
			_, err := r.Enroll(t.Context(), p.request("Tablet", "form"))
			wantRefusal(t, err, portal.Halted)
			testkit.Equal(t, "keys ready", pool.Ready(), 1)
			testkit.Must(p.DB.SetHalt(t.Context(), admin.Halt{}, fixture.NewEntry(testkit.Noon, audit.IssuingResumed, "ada")))(t)
		})
	}
	t.Run("the sender goes away", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		r := p.NewRegistrar(func(c *enroll.Config) { c.Keys, c.Directory = pool, gone{p.People, leave} })
		if _, err := r.Enroll(ctx, p.request("Tablet", "form")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want it broken off", err)
		}
		testkit.Equal(t, "keys ready", pool.Ready(), 1)
	})
	// What may have been recorded is not used again.
	r := p.NewRegistrar(func(c *enroll.Config) { c.Keys, c.Store = pool, noReservation{c.Store} })
	if _, err := r.Enroll(t.Context(), p.request("Tablet", "form")); err == nil {
		t.Error("a certificate without a reservation")
	}
	testkit.Equal(t, "keys ready after a reservation that broke", pool.Ready(), 0)
}

// A key that was made for a request which went away is good for the next one.
func TestAKeyMadeForNobodyIsKept(t *testing.T) {
	pool := enroll.NewKeyPool(ca.ECP256, 1, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	testkit.Eventually(t, "a key is kept", func() bool {
		if _, err := pool.Take(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want it broken off", err)
		}
		return pool.Ready() == 1
	})
}

// TestA17_RefusalsCountInTheHour: only an outage gives the count back. What is refused
// before anything was spent does not count.
func TestA17_RefusalsCountInTheHour(t *testing.T) {
	p := keyPortal(t)
	p.enroll("Phone", "first")
	try := func(change func(*enroll.Config), name string) error {
		r := p.NewRegistrar(func(c *enroll.Config) { c.PerHour = 2; change(c) })
		_, err := r.Enroll(p.T.Context(), p.request(name, "form"))
		return err
	}
	for range 5 {
		wantRefusal(t, try(func(*enroll.Config) {}, "PHONE"), portal.NameTaken)
		var outage *portal.Outage
		err := try(func(c *enroll.Config) { c.Directory = changed{Directory: p.People, err: io.ErrUnexpectedEOF} }, "Tablet")
		if !errors.As(err, &outage) {
			t.Fatalf("got %v, want an outage", err)
		}
		r := p.NewRegistrar(func(c *enroll.Config) { c.PerHour = 2 })
		_, err = r.EnrollRequest(t.Context(), p.request("Server", "form"), "no request")
		p.wantDenial(err, enroll.RequestForm)
	}
	protected := func(c *enroll.Config) {
		c.Directory = changed{Directory: p.People, change: func(a *portal.Person) { a.Protected = true }}
	}
	wantRefusal(t, try(protected, "Tablet"), portal.Protected)
	wantRefusal(t, try(protected, "Tablet"), portal.Protected)
	wantRefusal(t, try(func(*enroll.Config) {}, "Tablet"), portal.TooOften)
	p.Clock.Advance(time.Hour + time.Second)
	testkit.NoError(t, try(func(*enroll.Config) {}, "Tablet"))
}

// TestA17_TheNextAfterARefusalWaits: a flood of refused requests of one account is
// slowed down, and only that account's.
func TestA17_TheNextAfterARefusalWaits(t *testing.T) {
	p := newPortal(t)
	p.enroll("Phone", "first")
	bob := p.Add("bob", "")
	begin := time.Now()
	for range 3 {
		_, err := p.Enroll(t.Context(), p.request("PHONE", "form"))
		wantRefusal(t, err, portal.NameTaken)
	}
	// At least: a machine that is busy is slower.
	if took := time.Since(begin); took < 2*enroll.RefusalPause {
		t.Errorf("three refusals took %s, want two pauses of %s", took, enroll.RefusalPause)
	}
	testkit.Must(p.Enroll(t.Context(), p.Request(bob, "Phone", "bob's form")))(t)
}
