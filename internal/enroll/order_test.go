package enroll_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"certportal/ca"
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
	prepare func(t *testing.T, p *testPortal, n int) asks
}

// asks is the request itself.
type asks func(context.Context, *enroll.Registrar) error

func (p *testPortal) self() portal.Actor {
	return portal.Actor{Person: p.anna.ID, Role: portal.Employee, Address: "192.0.2.1", Request: "r"}
}

func (p *testPortal) newDevice(n int, form string) enroll.Request {
	return enroll.Request{
		By: p.self(), Name: fmt.Sprint(form, " ", n), Platform: portal.Android, Idempotent: fmt.Sprint(form, n), PickupKey: p.PickupKey,
	}
}

func enrols(req enroll.Request) asks {
	return func(ctx context.Context, r *enroll.Registrar) error { _, err := r.Enroll(ctx, req); return err }
}

// renews is a device that shows its certificate.
func renews(t *testing.T, holder *x509.Certificate) asks {
	key := testkit.ECKey(t).Public()
	return func(ctx context.Context, r *enroll.Registrar) error {
		_, err := r.Renew(ctx, portal.Actor{}, holder, key)
		return err
	}
}

// redeems is a device with a challenge of its own.
func redeems(t *testing.T, c enroll.Challenge) asks {
	key := testkit.ECKey(t).Public()
	return func(ctx context.Context, r *enroll.Registrar) error {
		_, err := r.Redeem(ctx, portal.Actor{}, c.Secret, key)
		return err
	}
}

// ways are all of them: what a new one does in another order is found here.
func ways() []way {
	return []way{
		{"key of the portal", true, func(_ *testing.T, p *testPortal, n int) asks { return enrols(p.newDevice(n, "phone")) }},
		{"new file", true, func(t *testing.T, p *testPortal, n int) asks {
			req := p.newDevice(n, "file")
			req.Device = testkit.Must(p.Enroll(t.Context(), p.newDevice(0, "device")))(t).Device
			return enrols(req)
		}},
		{"renew page", true, func(t *testing.T, p *testPortal, n int) asks {
			req := p.newDevice(n, "renewal")
			done := testkit.Must(p.Enroll(t.Context(), p.newDevice(0, "device")))(t)
			if n == 0 {
				p.read(done)
				p.Clock.Advance(310 * day)
			}
			req.Device, req.Renew = done.Device, true
			return enrols(req)
		}},
		{"request pasted", false, func(t *testing.T, p *testPortal, n int) asks {
			_, pasted := request(t)
			return func(ctx context.Context, r *enroll.Registrar) error {
				_, err := r.EnrollRequest(ctx, p.newDevice(n, "server"), pasted)
				return err
			}
		}},
		{"SCEP", false, func(t *testing.T, p *testPortal, n int) asks {
			return redeems(t, testkit.Must(p.NewChallenge(t.Context(), p.newDevice(n, "scep")))(t))
		}},
		{"SCEP renewal", false, func(t *testing.T, p *testPortal, n int) asks {
			if n == 0 {
				c := testkit.Must(p.NewChallenge(t.Context(), p.newDevice(0, "scep")))(t)
				testkit.Must(p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
				p.Clock.Advance(310 * day)
			}
			devices := testkit.Must(p.Devices(t.Context(), p.anna.ID))(t)
			return renews(t, testkit.Must(x509.ParseCertificate(devices[0].Certificate.DER))(t))
		}},
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
