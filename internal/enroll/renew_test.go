package enroll_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const day = 24 * time.Hour

// installed is a device whose file was fetched.
func (p *testPortal) installed(name string) enroll.Enrolment {
	p.T.Helper()
	done := p.enroll(name, "form of "+name)
	p.read(done)
	return done
}

func (p *testPortal) renewal(of enroll.Enrolment, form string) enroll.Request {
	req := p.request("", form)
	req.Device, req.Renew = of.Device, true
	return req
}

func (p *testPortal) renew(of enroll.Enrolment, form string) enroll.Enrolment {
	p.T.Helper()
	return testkit.Must(p.Enroll(p.T.Context(), p.renewal(of, form)))(p.T)
}

func (p *testPortal) status(serial ca.Serial) portal.Status {
	p.T.Helper()
	return testkit.Must(p.DB.Certificate(p.T.Context(), serial))(p.T).Status
}

func (p *testPortal) wantStatus(what string, e enroll.Enrolment, want portal.Status) {
	p.T.Helper()
	if got := p.status(e.Serial); got != want {
		p.T.Errorf("%s certificate is %s, want %s", what, got, want)
	}
}

func (p *testPortal) sweep() {
	p.T.Helper()
	if err := p.Sweep(p.T.Context(), p.Stale()); err != nil {
		p.T.Fatal(err)
	}
}

func wantRefusal(t *testing.T, err error, reason portal.Reason) *portal.Refusal {
	t.Helper()
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != reason {
		t.Fatalf("got %v, want refusal %s", err, reason)
	}
	return refusal
}

func TestRenewKeepsTheOldOne(t *testing.T) {
	p := newPortal(t)
	old := p.installed("phone")
	p.Clock.Advance(310 * day)
	next := p.renew(old, "renewal")
	if next.Device != old.Device || next.Serial == old.Serial {
		t.Fatalf("got %v after %v, want another serial for the same device", next, old)
	}
	p.wantStatus("old", old, portal.Superseded)
	if got := p.renew(old, "renewal"); !got.Again || got.Serial != next.Serial {
		t.Errorf("the same form again: got %v, want %v", got, next)
	}
	// What is delivered is the new one, with a key of its own.
	file := testkit.Must(p.OpenFile(t.Context(), p.token(next)))(t)
	if got := testkit.Must(ca.SerialOf(file.Leaf.SerialNumber))(t); got != next.Serial {
		t.Errorf("the file holds %s, want %s", got, next.Serial)
	}
	if file.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(p.leaf(old).PublicKey) {
		t.Error("the renewed certificate has the old key")
	}
	if err := p.Finish(t.Context(), p.actor(), old.Device); !errors.Is(err, portal.ErrConflict) {
		t.Errorf("finishing before the file was fetched: %v, want ErrConflict", err)
	}
	p.wantStatus("old", old, portal.Superseded)
	p.read(next)
	nudged := p.Revoked.Load()
	for range 2 {
		if err := p.Finish(t.Context(), p.actor(), old.Device); err != nil {
			t.Fatal(err)
		}
	}
	p.wantStatus("old", old, portal.Revoked)
	p.wantStatus("new", next, portal.Issued)
	if got := p.Revoked.Load() - nudged; got != 1 {
		t.Errorf("%d calls for a new list, want 1", got)
	}
	p.Entries()
}

func (p *testPortal) leaf(e enroll.Enrolment) *x509.Certificate {
	p.T.Helper()
	c := testkit.Must(p.DB.Certificate(p.T.Context(), e.Serial))(p.T)
	return testkit.Must(x509.ParseCertificate(c.DER))(p.T)
}

func TestOldOneEndsWithTheOverlap(t *testing.T) {
	p := newPortal(t)
	old := p.installed("phone")
	p.Clock.Advance(310 * day)
	next := p.renew(old, "renewal")
	p.read(next)
	p.Clock.Advance(enroll.DefaultOverlap - time.Second)
	p.sweep()
	p.wantStatus("old", old, portal.Superseded)
	p.Clock.Advance(time.Second)
	nudged := p.Revoked.Load()
	p.sweep()
	p.wantStatus("old", old, portal.Revoked)
	p.wantStatus("new", next, portal.Issued)
	if p.Revoked.Load() == nudged {
		t.Error("the revocation list was not asked for")
	}
}

func TestNobodyFetchesTheRenewal(t *testing.T) {
	p := newPortal(t)
	old := p.installed("phone")
	p.Clock.Advance(310 * day)
	next := p.renew(old, "renewal")
	p.Clock.Advance(enroll.PickupLife + time.Second)
	p.sweep()
	p.wantStatus("new", next, portal.Revoked)
	p.wantStatus("old", old, portal.Issued)
	if got := fixture.Count(p.Entries(), audit.CertificateRestored); got != 1 {
		t.Errorf("%d restored, want 1", got)
	}
	// A portal that stood still past the overlap does not lock the phone out.
	again := p.renew(old, "second renewal")
	p.Clock.Advance(enroll.DefaultOverlap + day)
	p.sweep()
	p.wantStatus("new", again, portal.Revoked)
	p.wantStatus("old", old, portal.Issued)
}

func TestRenewable(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	issued := func(left, life time.Duration) portal.Device {
		return portal.Device{Certificate: portal.Certificate{
			Status: portal.Issued, NotBefore: now.Add(left - life), NotAfter: now.Add(left),
		}}
	}
	with := func(d portal.Device, change func(*portal.Device)) portal.Device {
		change(&d)
		return d
	}
	year := 365 * day
	tests := []struct {
		name   string
		device portal.Device
		want   portal.Reason // empty: it may
		until  time.Duration // from now
	}{
		{"60 days left", issued(60*day, year), "", 0},
		{"61 days left", issued(61*day, year), portal.RenewEarly, day},
		{"run out", issued(-day, year), "", 0},
		{"half of a short life left", issued(15*day, 30*day), "", 0},
		{"more than that left", issued(16*day, 30*day), portal.RenewEarly, day},
		{"renamed", with(issued(year, year), func(d *portal.Device) { d.Certificate.Changed = portal.UPNChanged }), "", 0},
		{"another SID", with(issued(year, year), func(d *portal.Device) { d.Certificate.Changed = portal.SIDChanged }), "", 0},
		{"account off", with(issued(year, year), func(d *portal.Device) { d.Certificate.Changed = portal.AccountDisabled }),
			portal.RenewEarly, 305 * day},
		{"the one before works", with(issued(year, year), func(d *portal.Device) { d.FormerEnds = now.Add(time.Second) }), "", 0},
		{"the one before has ended", with(issued(year, year), func(d *portal.Device) { d.FormerEnds = now }), portal.RenewEarly, 305 * day},
		{"superseded alone", with(issued(50*day, year), func(d *portal.Device) {
			d.Certificate.Status, d.Certificate.Ends = portal.Superseded, now.Add(day)
		}), "", 0},
		{"revoked", with(issued(day, year), func(d *portal.Device) { d.Certificate.Status = portal.Revoked }), portal.DeviceBlocked, 0},
		{"none", portal.Device{}, portal.DeviceBlocked, 0},
		{"blocked", with(issued(day, year), func(d *portal.Device) { d.Blocked = now }), portal.DeviceBlocked, 0},
		{"removed", with(issued(day, year), func(d *portal.Device) { d.Removed = now }), portal.DeviceBlocked, 0},
		{"being made", with(issued(year, year), func(d *portal.Device) { d.Certificate.Status = portal.Pending }), portal.RenewEarly, 305 * day},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.device.Renewable(now, 60*day)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refusal := wantRefusal(t, err, tt.want)
			if tt.want == portal.RenewEarly && !refusal.Until.Equal(now.Add(tt.until)) {
				t.Errorf("until %s, want %s", refusal.Until, now.Add(tt.until))
			}
		})
	}
}

func TestRenewIsRefused(t *testing.T) {
	p := newPortal(t)
	old := p.installed("phone")
	if got := p.refusal(p.Registrar, p.renewal(old, "early")); got.Reason != portal.RenewEarly || got.Value != "phone" {
		t.Errorf("too early: %+v", got)
	}
	p.Clock.Advance(310 * day)
	bob := p.Add("bob", "")
	theirs := p.renewal(old, "theirs")
	theirs.By = fixture.Employee(bob)
	if _, err := p.Enroll(t.Context(), theirs); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("somebody else's: %v, want ErrNotFound", err)
	}
	if err := p.Block(t.Context(), p.actor(), enroll.Block{Person: p.anna.ID, Device: old.Device, Cause: portal.Lost}); err != nil {
		t.Fatal(err)
	}
	if got := p.refusal(p.Registrar, p.renewal(old, "blocked")).Reason; got != portal.DeviceBlocked {
		t.Errorf("blocked: %s", got)
	}
	file := p.renewal(old, "new file")
	file.Renew = false
	if got := p.refusal(p.Registrar, file).Reason; got != portal.DeviceBlocked {
		t.Errorf("a new file for a blocked device: %s", got)
	}
}

// lostAnswer completes, and loses the answer on the way back.
type lostAnswer struct{ enroll.Store }

func (l lostAnswer) Complete(ctx context.Context, c enroll.Completion) error {
	if err := l.Store.Complete(ctx, c); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// noReservation loses the first transaction.
type noReservation struct{ enroll.Store }

func (noReservation) Reserve(context.Context, enroll.Reservation) error { return io.ErrShortWrite }

// TestF1_RenewalBreaksAnywhere holds that a renewal that breaks leaves the phone as
// it was, and that the same form works afterwards.
func TestF1_RenewalBreaksAnywhere(t *testing.T) {
	tests := []struct {
		name   string
		change func(*enroll.Config)
	}{
		{"before anything is recorded", func(c *enroll.Config) { c.Store = noReservation{c.Store} }},
		{"at the signature", func(c *enroll.Config) { c.Issuer = brokenIssuer{c.Issuer} }},
		{"at the second transaction", func(c *enroll.Config) { c.Store = brokenStore{c.Store} }},
		{"at the second transaction, for good", func(c *enroll.Config) { c.Store = deadStore{c.Store} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t)
			old := p.installed("phone")
			p.Clock.Advance(310 * day)
			_, err := p.NewRegistrar(tt.change).Enroll(t.Context(), p.renewal(old, "renewal"))
			var outage *portal.Outage
			if !errors.As(err, &outage) {
				t.Fatalf("got %v, want an outage", err)
			}
			p.Clock.Advance(time.Minute)
			p.sweep()
			p.wantStatus("old", old, portal.Issued)
			d := p.device(old.Device)
			if d.Certificate.Serial != old.Serial || !d.FormerEnds.IsZero() {
				t.Errorf("the device has %s, want the old certificate %s", d.Certificate.Serial, old.Serial)
			}
			next := p.renew(old, "renewal")
			p.wantStatus("old", old, portal.Superseded)
			p.wantStatus("new", next, portal.Issued)
			p.Entries()
		})
	}
}

// TestF6_RenewalWhoseAnswerIsLost is recorded, so it is given out.
func TestF6_RenewalWhoseAnswerIsLost(t *testing.T) {
	p := newPortal(t)
	old := p.installed("phone")
	p.Clock.Advance(310 * day)
	r := p.NewRegistrar(func(c *enroll.Config) { c.Store = lostAnswer{c.Store} })
	next := testkit.Must(r.Enroll(t.Context(), p.renewal(old, "renewal")))(t)
	testkit.Equal(t, "again", p.renew(old, "renewal").Serial, next.Serial)
	p.wantStatus("old", old, portal.Superseded)
	p.wantStatus("new", next, portal.Issued)
	p.Entries()
}

func TestRenewalOfAKeyOfTheDevice(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	first := testkit.Must(p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
	old := enroll.Enrolment{Device: c.Device.ID, Serial: testkit.Must(ca.SerialOf(first.SerialNumber))(t)}
	_, err := p.NewChallenge(t.Context(), p.renewal(old, "early"))
	wantRefusal(t, err, portal.RenewEarly)
	p.Clock.Advance(310 * day)
	again := testkit.Must(p.NewChallenge(t.Context(), p.renewal(old, "renewal")))(t)
	p.wantStatus("old", old, portal.Issued)
	testkit.Must(p.Redeem(t.Context(), portal.Actor{}, again.Secret, testkit.ECKey(t).Public()))(t)
	p.wantStatus("old", old, portal.Superseded)
	if err := p.Finish(t.Context(), p.actor(), old.Device); err != nil {
		t.Fatal(err)
	}
	p.wantStatus("old", old, portal.Revoked)
}

func TestRenewalOfABroughtKey(t *testing.T) {
	p := keyPortal(t)
	old := testkit.Must(p.EnrollKey(t.Context(), p.request("Server", "form"), testkit.ECKey(t).Public()))(t)
	p.Clock.Advance(310 * day)
	next := testkit.Must(p.EnrollKey(t.Context(), p.renewal(old, "renewal"), testkit.ECKey(t).Public()))(t)
	p.wantStatus("old", old, portal.Superseded)
	p.wantStatus("new", next, portal.Issued)
}

// scepDevice is a device with a key of its own, and the certificate it has.
func (p *testPortal) scepDevice(name string) (portal.DeviceID, *x509.Certificate) {
	p.T.Helper()
	c := p.challenge(name, "form of "+name)
	return c.Device.ID, testkit.Must(p.Redeem(p.T.Context(), portal.Actor{}, c.Secret, testkit.ECKey(p.T).Public()))(p.T)
}

// TestA17_RenewalsOfDevicesKeepToTheTime: a device renews in the same window as a
// person, and gets no second try with the certificate that it has (item of A15: two that
// work at most).
func TestA17_RenewalsOfDevicesKeepToTheTime(t *testing.T) {
	p := keyPortal(t)
	id, holder := p.scepDevice("Phone")
	renew := func() (*x509.Certificate, error) {
		return p.Renew(t.Context(), portal.Actor{}, holder, testkit.ECKey(t).Public())
	}
	_, err := renew()
	early := wantRefusal(t, err, portal.RenewEarly)
	if want := holder.NotAfter.Add(-enroll.DefaultRenewFrom); !early.Until.Equal(want) {
		t.Errorf("until %s, want %s", early.Until, want)
	}
	if last := fixture.Last(t, p.Entries(), audit.EnrolmentRefused); last.Detail["reason"] != string(portal.RenewEarly) || last.Actor != "device" {
		t.Errorf("last refusal by %q: %v", last.Actor, last.Detail)
	}
	p.Clock.Set(early.Until)
	holder = testkit.Must(renew())(t)
	// The old one still works, which would give a person another try.
	if d := p.device(id); !d.FormerEnds.After(p.Clock.Now()) {
		t.Fatal("the old certificate does not work")
	}
	_, err = renew()
	wantRefusal(t, err, portal.RenewEarly)
	p.Clock.Advance(310 * day)
	testkit.Must(renew())(t)
}

// TestA17_RenewalsAreCounted: each renewal leaves a certificate in the CRL that all
// servers fetch.
func TestA17_RenewalsAreCounted(t *testing.T) {
	p := keyPortal(t)
	_, first := p.scepDevice("One")
	_, second := p.scepDevice("Two")
	p.Clock.Advance(310 * day)
	r := p.NewRegistrar(func(c *enroll.Config) { c.PerHour = 1 })
	testkit.Must(r.Renew(t.Context(), portal.Actor{}, first, testkit.ECKey(t).Public()))(t)
	_, err := r.Renew(t.Context(), portal.Actor{}, second, testkit.ECKey(t).Public())
	wantRefusal(t, err, portal.TooOften)
}

func TestBlock(t *testing.T) {
	for _, cause := range []portal.Cause{portal.Lost, portal.Retired, portal.Returned} {
		t.Run(string(cause), func(t *testing.T) {
			p := newPortal(t)
			old := p.installed("phone")
			p.Clock.Advance(310 * day)
			next := p.renew(old, "renewal")
			staff := portal.Actor{Person: "id-of-hedi", Role: portal.Helpdesk, Request: "r"}
			err := p.Block(t.Context(), staff, enroll.Block{
				Person: p.anna.ID, Device: old.Device, Cause: cause, Detail: map[string]string{"checked": "called-back"},
			})
			if err != nil {
				t.Fatal(err)
			}
			p.wantStatus("old", old, portal.Revoked)
			p.wantStatus("new", next, portal.Revoked)
			var gone *portal.Gone
			if _, err := p.OpenFile(t.Context(), p.token(next)); !errors.As(err, &gone) || !gone.Blocked {
				t.Errorf("its file: %v, want it gone with the device", err)
			}
			entries := p.Entries()
			last := entries[len(entries)-1]
			want := fmt.Sprint("id-of-hedi helpdesk ", p.anna.ID, " ", cause, " called-back")
			got := fmt.Sprint(last.Actor, " ", last.Role, " ", last.Person, " ", last.Detail["cause"], " ", last.Detail["checked"])
			if got != want {
				t.Errorf("last entry: %s, want %s", got, want)
			}
			if d := p.device(old.Device); d.Blocked.IsZero() {
				t.Error("the device is not blocked")
			}
		})
	}
}

func TestRename(t *testing.T) {
	p := newPortal(t)
	phone := p.enroll("phone", "1")
	p.enroll("tablet", "2")
	err := p.Rename(t.Context(), p.actor(), phone.Device, " \u202e ")
	wantRefusal(t, err, portal.NameEmpty)
	wantRefusal(t, p.Rename(t.Context(), p.actor(), phone.Device, "TABLET"), portal.NameTaken)
	if err := p.Rename(t.Context(), fixture.Employee(p.Add("bob", "")), phone.Device, "mine"); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("somebody else's: %v, want ErrNotFound", err)
	}
	if err := p.Rename(t.Context(), p.actor(), phone.Device, "  Anna's  📱 "); err != nil {
		t.Fatal(err)
	}
	if got, want := p.device(phone.Device).Name, "Anna's 📱"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
