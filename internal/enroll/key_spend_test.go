package enroll_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

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

// A halt is seen before a key is taken, or in the transaction.
func TestAHaltSpendsNoKey(t *testing.T) {
	p := newPortal(t)
	pool := oneKey(t)
	for name, change := range map[string]func(*enroll.Config){"halted": func(*enroll.Config) {}, "halted in between": func(c *enroll.Config) { c.Store = late{c.Store} }} {
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

// TestA17_SpentChallengesHoldNoTurn: requests with a challenge that is used or ran out are
// refused without the turn of its person, who does not wait behind them.
func TestA17_SpentChallengesHoldNoTurn(t *testing.T) {
	const flood = 40
	p := keyPortal(t)
	used, late := p.challenge("Phone", "form"), p.challenge("Tablet", "other form")
	key := testkit.ECKey(t).Public()
	first := testkit.Must(p.Redeem(t.Context(), portal.Actor{}, used.Secret, key))(t)
	again := testkit.Must(p.Redeem(t.Context(), portal.Actor{}, used.Secret, key))(t)
	testkit.Equal(t, "same request", again.SerialNumber.String(), first.SerialNumber.String())
	p.Clock.Advance(enroll.ChallengeLife)
	begin := time.Now()
	for range flood / 2 {
		_, err := p.Redeem(t.Context(), portal.Actor{}, used.Secret, testkit.ECKey(t).Public())
		p.wantDenial(err, portal.ChallengeUsed)
		_, err = p.Redeem(t.Context(), portal.Actor{}, late.Secret, key)
		p.wantDenial(err, portal.ChallengeExpired)
	}
	p.enroll("Laptop", "own form")
	if took := time.Since(begin); took > (flood-1)*enroll.RefusalPause {
		t.Errorf("%d refusals and a certificate took %s, want no pause of %s between them", flood, took, enroll.RefusalPause)
	}
}
