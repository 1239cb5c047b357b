package enroll_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// replicas are two registrars, each with its own connections to one database.
func replicas(t *testing.T, address string) (one, two *testPortal) {
	t.Helper()
	change := func(c *enroll.Config) { c.DeviceKeys, c.Quota = true, 50 }
	clock := testkit.NewClock()
	one = &testPortal{Portal: fixture.NewPortalAt(t, clock, address, change)}
	one.anna = one.Add("anna", fixture.SIDPrefix+"1101")
	two = &testPortal{Portal: fixture.NewPortalAt(t, clock, address, change), anna: one.anna}
	return one, two
}

// asking is a request of a device with one key, which may be sent again.
type asking func(ctx context.Context, r *enroll.Registrar, key crypto.PublicKey) (*x509.Certificate, error)

// deviceRequests are the requests that devices send themselves, with the answer to
// another key and the time from which they may be sent.
func deviceRequests() []struct {
	name string
	make func(p *testPortal) asking
	no   string
} {
	redeem := func(c enroll.Challenge) asking {
		return func(ctx context.Context, r *enroll.Registrar, key crypto.PublicKey) (*x509.Certificate, error) {
			return r.Redeem(ctx, portal.Actor{}, c.Secret, key)
		}
	}
	return []struct {
		name string
		make func(p *testPortal) asking
		no   string
	}{
		{"challenge", func(p *testPortal) asking { return redeem(p.challenge("Phone", "form")) }, portal.ChallengeUsed},
		{"challenge of a renewal", func(p *testPortal) asking {
			id, _ := p.scepDevice("Phone")
			p.Clock.Advance(310 * day)
			req := p.request("", "renewal")
			req.Device, req.Renew = id, true
			return redeem(testkit.Must(p.NewChallenge(p.T.Context(), req))(p.T))
		}, portal.ChallengeUsed},
		{"old certificate", func(p *testPortal) asking {
			_, holder := p.scepDevice("Phone")
			p.Clock.Advance(310 * day)
			return func(ctx context.Context, r *enroll.Registrar, key crypto.PublicKey) (*x509.Certificate, error) {
				return r.Renew(ctx, portal.Actor{}, holder, key)
			}
		}, portal.HolderRenewed},
	}
}

// eachDeviceRequest runs a test with every kind of request on both engines.
func eachDeviceRequest(t *testing.T, test func(t *testing.T, one, two *testPortal, ask asking, no string)) {
	for _, kind := range deviceRequests() {
		t.Run(kind.name, func(t *testing.T) {
			fixture.OnBothEngines(t, func(t *testing.T, address string) {
				one, two := replicas(t, address)
				test(t, one, two, kind.make(one), kind.no)
			})
		})
	}
}

func (p *testPortal) serials() int { return fixture.Count(p.Entries(), audit.CertificateReserved) }

// TestA15_SameRequestSameCertificate: a device whose answer was lost asks again, with
// the same key, and gets the same certificate for ten minutes. Another key gets nothing.
func TestA15_SameRequestSameCertificate(t *testing.T) {
	eachDeviceRequest(t, func(t *testing.T, one, two *testPortal, ask asking, no string) {
		before := one.serials()
		key := testkit.ECKey(t).Public()
		first := testkit.Must(ask(t.Context(), one.Registrar, key))(t)
		for _, wait := range []time.Duration{0, 10*time.Minute - time.Second} {
			one.Clock.Advance(wait)
			for _, replica := range []*testPortal{one, two} {
				again, err := ask(t.Context(), replica.Registrar, key)
				if err != nil || !bytes.Equal(again.Raw, first.Raw) {
					t.Fatalf("after %s: got %v, want the first certificate", wait, err)
				}
			}
			_, err := ask(t.Context(), two.Registrar, testkit.ECKey(t).Public())
			one.wantDenial(err, no)
		}
		one.Clock.Advance(time.Second)
		_, err := ask(t.Context(), two.Registrar, key)
		one.wantDenial(err, no)
		testkit.Equal(t, "serials", one.serials()-before, 1)
	})
}

// TestF22_SameRequestInParallel: the same request at the same time, to two replicas,
// leads to one certificate, which all of them get.
func TestF22_SameRequestInParallel(t *testing.T) {
	eachDeviceRequest(t, func(t *testing.T, one, two *testPortal, ask asking, no string) {
		before := one.serials()
		key := testkit.ECKey(t).Public()
		const asked = 8
		got, errs := make([]*x509.Certificate, asked), make([]error, asked)
		var all sync.WaitGroup
		for i := range asked {
			replica := one
			if i%2 == 1 {
				replica = two
			}
			all.Go(func() { got[i], errs[i] = ask(t.Context(), replica.Registrar, key) })
		}
		all.Wait()
		for i := range asked {
			if errs[i] != nil || !bytes.Equal(got[i].Raw, got[0].Raw) {
				t.Errorf("request %d: %v, want the certificate of the first", i, errs[i])
			}
		}
		testkit.Equal(t, "serials", one.serials()-before, 1)
	})
}

// unheard completes, but its caller has gone away.
type unheard struct {
	enroll.Store
	leave context.CancelFunc
}

func (u unheard) Reserve(ctx context.Context, r enroll.Reservation) error {
	u.leave()
	return u.Store.Reserve(ctx, r)
}

// TestF1_LostAnswer: the device goes away before it is answered, and asks again.
func TestF1_LostAnswer(t *testing.T) {
	eachDeviceRequest(t, func(t *testing.T, one, two *testPortal, ask asking, no string) {
		before := one.serials()
		key := testkit.ECKey(t).Public()
		ctx, leave := context.WithCancel(t.Context())
		r := one.NewRegistrar(func(c *enroll.Config) { c.Store = unheard{c.Store, leave} })
		lost, err := ask(ctx, r, key)
		if err != nil || ctx.Err() == nil {
			t.Fatalf("got %v, want it finished", err)
		}
		again := testkit.Must(ask(t.Context(), two.Registrar, key))(t)
		if !bytes.Equal(again.Raw, lost.Raw) {
			t.Error("the second request got another certificate")
		}
		testkit.Equal(t, "serials", one.serials()-before, 1)
	})
}

// What ended, or is no longer for the person to have, is not given again.
func TestA11_NoRepeatOfWhatEnded(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	key := testkit.ECKey(t).Public()
	redeem := func(change func(*enroll.Config)) error {
		_, err := p.NewRegistrar(change).Redeem(t.Context(), portal.Actor{}, c.Secret, key)
		return err
	}
	testkit.NoError(t, redeem(func(*enroll.Config) {}))
	off := func(c *enroll.Config) {
		c.Directory = changed{Directory: p.People, change: func(a *portal.Person) { a.Disabled = true }}
	}
	wantRefusal(t, redeem(off), portal.Disabled)
	testkit.NoError(t, redeem(func(c *enroll.Config) { c.Directory = changed{Directory: p.People, err: io.ErrUnexpectedEOF} }))
	testkit.NoError(t, p.Remove(t.Context(), p.actor(), c.Device.ID))
	p.wantDenial(redeem(func(*enroll.Config) {}), portal.ChallengeUsed)
}

// A first request that never finishes does not hold the second one for ever.
func TestRepeatOfWhatCannotFinish(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	key := testkit.ECKey(t).Public()
	dead := p.NewRegistrar(func(c *enroll.Config) { c.Store = deadStore{c.Store} })
	if _, err := dead.Redeem(t.Context(), portal.Actor{}, c.Secret, key); err == nil {
		t.Fatal("a certificate out of a dead store")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var outage *portal.Outage
	if _, err := p.Redeem(ctx, portal.Actor{}, c.Secret, key); !errors.As(err, &outage) {
		t.Errorf("while it may be running: got %v, want an outage", err)
	}
	p.Clock.Advance(enroll.ReservationLife + time.Second)
	_, err := p.Redeem(t.Context(), portal.Actor{}, c.Secret, key)
	p.wantDenial(err, portal.ChallengeUsed)
}
