package enroll_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
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
)

const day = 24 * time.Hour

// installed is a device whose file was fetched.
func (h *house) installed(name string) enroll.Enrolment {
	h.t.Helper()
	done := h.enroll(name, "form of "+name)
	h.read(done)
	return done
}

func (h *house) renewal(of enroll.Enrolment, form string) enroll.Request {
	req := h.request("", form)
	req.Device, req.Renew = of.Device, true
	return req
}

func (h *house) renew(of enroll.Enrolment, form string) enroll.Enrolment {
	h.t.Helper()
	return must[enroll.Enrolment](h.t)(h.Enroll(h.t.Context(), h.renewal(of, form)))
}

func (h *house) status(serial ca.Serial) portal.Status {
	h.t.Helper()
	return must[portal.Certificate](h.t)(h.db.Certificate(h.t.Context(), serial)).Status
}

func (h *house) wantStatus(what string, e enroll.Enrolment, want portal.Status) {
	h.t.Helper()
	if got := h.status(e.Serial); got != want {
		h.t.Errorf("%s certificate is %s, want %s", what, got, want)
	}
}

func (h *house) sweep() {
	h.t.Helper()
	if err := h.Sweep(h.t.Context(), h.Stale()); err != nil {
		h.t.Fatal(err)
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
	h := newHouse(t)
	old := h.installed("phone")
	h.pass(310 * day)
	next := h.renew(old, "renewal")
	if next.Device != old.Device || next.Serial == old.Serial {
		t.Fatalf("got %v after %v, want another serial for the same device", next, old)
	}
	h.wantStatus("old", old, portal.Superseded)
	if got := h.renew(old, "renewal"); !got.Again || got.Serial != next.Serial {
		t.Errorf("the same form again: got %v, want %v", got, next)
	}
	// What is delivered is the new one, with a key of its own.
	file := must[enroll.File](t)(h.OpenFile(t.Context(), h.token(next)))
	if got := must[ca.Serial](t)(ca.SerialOf(file.Leaf.SerialNumber)); got != next.Serial {
		t.Errorf("the file holds %s, want %s", got, next.Serial)
	}
	if file.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(h.leaf(old).PublicKey) {
		t.Error("the renewed certificate has the old key")
	}
	if err := h.Finish(t.Context(), h.by(), old.Device); !errors.Is(err, portal.ErrConflict) {
		t.Errorf("finishing before the file was fetched: %v, want ErrConflict", err)
	}
	h.wantStatus("old", old, portal.Superseded)
	h.read(next)
	nudged := h.revoked.Load()
	for range 2 {
		if err := h.Finish(t.Context(), h.by(), old.Device); err != nil {
			t.Fatal(err)
		}
	}
	h.wantStatus("old", old, portal.Revoked)
	h.wantStatus("new", next, portal.Issued)
	if got := h.revoked.Load() - nudged; got != 1 {
		t.Errorf("%d calls for a new list, want 1", got)
	}
	h.checkLedger()
}

func (h *house) leaf(e enroll.Enrolment) *x509.Certificate {
	h.t.Helper()
	c := must[portal.Certificate](h.t)(h.db.Certificate(h.t.Context(), e.Serial))
	return must[*x509.Certificate](h.t)(x509.ParseCertificate(c.DER))
}

func TestOldOneEndsWithTheOverlap(t *testing.T) {
	h := newHouse(t)
	old := h.installed("phone")
	h.pass(310 * day)
	next := h.renew(old, "renewal")
	h.read(next)
	h.pass(enroll.DefaultOverlap - time.Second)
	h.sweep()
	h.wantStatus("old", old, portal.Superseded)
	h.pass(time.Second)
	nudged := h.revoked.Load()
	h.sweep()
	h.wantStatus("old", old, portal.Revoked)
	h.wantStatus("new", next, portal.Issued)
	if h.revoked.Load() == nudged {
		t.Error("the revocation list was not asked for")
	}
}

func TestNobodyFetchesTheRenewal(t *testing.T) {
	h := newHouse(t)
	old := h.installed("phone")
	h.pass(310 * day)
	next := h.renew(old, "renewal")
	h.pass(enroll.PickupLife + time.Second)
	h.sweep()
	h.wantStatus("new", next, portal.Revoked)
	h.wantStatus("old", old, portal.Issued)
	if got := count(h.checkLedger(), audit.CertificateRestored); got != 1 {
		t.Errorf("%d restored, want 1", got)
	}
	// A portal that stood still past the overlap does not lock the phone out.
	again := h.renew(old, "second renewal")
	h.pass(enroll.DefaultOverlap + day)
	h.sweep()
	h.wantStatus("new", again, portal.Revoked)
	h.wantStatus("old", old, portal.Issued)
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
	h := newHouse(t)
	old := h.installed("phone")
	if got := h.refusal(h.Registrar, h.renewal(old, "early")); got.Reason != portal.RenewEarly || got.Value != "phone" {
		t.Errorf("too early: %+v", got)
	}
	h.pass(310 * day)
	bob := h.add("bob", "")
	theirs := h.renewal(old, "theirs")
	theirs.By = h.byPerson(bob)
	if _, err := h.Enroll(t.Context(), theirs); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("somebody else's: %v, want ErrNotFound", err)
	}
	if err := h.Block(t.Context(), h.by(), enroll.Block{Person: h.anna.ID, Device: old.Device, Cause: portal.Lost}); err != nil {
		t.Fatal(err)
	}
	if got := h.refusal(h.Registrar, h.renewal(old, "blocked")).Reason; got != portal.DeviceBlocked {
		t.Errorf("blocked: %s", got)
	}
	file := h.renewal(old, "new file")
	file.Renew = false
	if got := h.refusal(h.Registrar, file).Reason; got != portal.DeviceBlocked {
		t.Errorf("a new file for a blocked device: %s", got)
	}
}

// lostAnswer completes, and loses the answer on the way back.
type lostAnswer struct{ enroll.Records }

func (l lostAnswer) Complete(ctx context.Context, c enroll.Completion) error {
	if err := l.Records.Complete(ctx, c); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// noReservation loses the first transaction.
type noReservation struct{ enroll.Records }

func (noReservation) Reserve(context.Context, enroll.Reservation) error { return io.ErrShortWrite }

// TestF1_RenewalBreaksAnywhere holds that a renewal that breaks leaves the phone as
// it was, and that the same form works afterwards.
func TestF1_RenewalBreaksAnywhere(t *testing.T) {
	tests := []struct {
		name   string
		change func(*enroll.Config)
	}{
		{"before anything is recorded", func(c *enroll.Config) { c.Records = noReservation{c.Records} }},
		{"at the signature", func(c *enroll.Config) { c.Issuer = brokenIssuer{c.Issuer} }},
		{"at the second transaction", func(c *enroll.Config) { c.Records = brokenRecords{c.Records} }},
		{"at the second transaction, for good", func(c *enroll.Config) { c.Records = deadRecords{c.Records} }},
		{"after the second transaction", func(c *enroll.Config) { c.Records = lostAnswer{c.Records} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			old := h.installed("phone")
			h.pass(310 * day)
			_, err := h.with(tt.change).Enroll(t.Context(), h.renewal(old, "renewal"))
			var outage *portal.Outage
			if !errors.As(err, &outage) {
				t.Fatalf("got %v, want an outage", err)
			}
			h.pass(time.Minute)
			h.sweep()
			h.wantStatus("old", old, portal.Issued)
			d := h.device(old.Device)
			if d.Certificate.Serial != old.Serial || !d.FormerEnds.IsZero() {
				t.Errorf("the device has %s, want the old certificate %s", d.Certificate.Serial, old.Serial)
			}
			next := h.renew(old, "renewal")
			h.wantStatus("old", old, portal.Superseded)
			h.wantStatus("new", next, portal.Issued)
			h.checkLedger()
		})
	}
}

func TestRenewalOfAKeyOfTheDevice(t *testing.T) {
	h := keyHouse(t)
	c := h.challenge("Phone", "form")
	first := must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t)))
	old := enroll.Enrolment{Device: c.Device.ID, Serial: must[ca.Serial](t)(ca.SerialOf(first.SerialNumber))}
	_, err := h.NewChallenge(t.Context(), h.renewal(old, "early"))
	wantRefusal(t, err, portal.RenewEarly)
	h.pass(310 * day)
	again := must[enroll.Challenge](t)(h.NewChallenge(t.Context(), h.renewal(old, "renewal")))
	h.wantStatus("old", old, portal.Issued)
	must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, again.Secret, ecKey(t)))
	h.wantStatus("old", old, portal.Superseded)
	if err := h.Finish(t.Context(), h.by(), old.Device); err != nil {
		t.Fatal(err)
	}
	h.wantStatus("old", old, portal.Revoked)
}

func TestRenewalOfABroughtKey(t *testing.T) {
	h := keyHouse(t)
	old := must[enroll.Enrolment](t)(h.EnrollKey(t.Context(), h.request("Server", "form"), ecKey(t)))
	h.pass(310 * day)
	next := must[enroll.Enrolment](t)(h.EnrollKey(t.Context(), h.renewal(old, "renewal"), ecKey(t)))
	h.wantStatus("old", old, portal.Superseded)
	h.wantStatus("new", next, portal.Issued)
}

// TestA17_RenewalsAreCounted: a key that renews again and again leaves each
// certificate in the list that everybody fetches.
func TestA17_RenewalsAreCounted(t *testing.T) {
	h := keyHouse(t)
	c := h.challenge("Phone", "form")
	holder := must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t)))
	r := h.with(func(c *enroll.Config) { c.PerHour, c.Attempts = 3, h.db })
	for range 3 {
		holder = must[*x509.Certificate](t)(r.Renew(t.Context(), portal.Actor{}, holder, ecKey(t)))
	}
	_, err := r.Renew(t.Context(), portal.Actor{}, holder, ecKey(t))
	wantRefusal(t, err, portal.TooOften)
	working := 0
	for _, e := range h.checkLedger() {
		if e.Action == audit.CertificateIssued && h.status(must[ca.Serial](t)(ca.ParseSerial(e.Object))) != portal.Revoked {
			working++
		}
	}
	if working != 2 {
		t.Errorf("%d certificates work, want 2", working)
	}
}

func TestBlock(t *testing.T) {
	for _, cause := range []portal.Cause{portal.Lost, portal.Retired, portal.Returned} {
		t.Run(string(cause), func(t *testing.T) {
			h := newHouse(t)
			old := h.installed("phone")
			h.pass(310 * day)
			next := h.renew(old, "renewal")
			staff := portal.Actor{Person: "id-of-hedi", Role: portal.Helpdesk, Request: "r"}
			err := h.Block(t.Context(), staff, enroll.Block{
				Person: h.anna.ID, Device: old.Device, Cause: cause, Detail: map[string]string{"checked": "called-back"},
			})
			if err != nil {
				t.Fatal(err)
			}
			h.wantStatus("old", old, portal.Revoked)
			h.wantStatus("new", next, portal.Revoked)
			var gone *portal.Gone
			if _, err := h.OpenFile(t.Context(), h.token(next)); !errors.As(err, &gone) || !gone.Blocked {
				t.Errorf("its file: %v, want it gone with the device", err)
			}
			entries := h.checkLedger()
			last := entries[len(entries)-1]
			want := fmt.Sprint("id-of-hedi helpdesk ", h.anna.ID, " ", cause, " called-back")
			got := fmt.Sprint(last.Actor, " ", last.Role, " ", last.Person, " ", last.Detail["cause"], " ", last.Detail["checked"])
			if got != want {
				t.Errorf("last entry: %s, want %s", got, want)
			}
			if d := h.device(old.Device); d.Blocked.IsZero() {
				t.Error("the device is not blocked")
			}
		})
	}
}

func TestRename(t *testing.T) {
	h := newHouse(t)
	phone := h.enroll("phone", "1")
	h.enroll("tablet", "2")
	err := h.Rename(t.Context(), h.by(), phone.Device, " \u202e ")
	wantRefusal(t, err, portal.NameEmpty)
	wantRefusal(t, h.Rename(t.Context(), h.by(), phone.Device, "TABLET"), portal.NameTaken)
	if err := h.Rename(t.Context(), h.byPerson(h.add("bob", "")), phone.Device, "mine"); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("somebody else's: %v, want ErrNotFound", err)
	}
	if err := h.Rename(t.Context(), h.by(), phone.Device, "  Anna's  📱 "); err != nil {
		t.Fatal(err)
	}
	if got, want := h.device(phone.Device).Name, "Anna's 📱"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What is refused costs nobody a certificate of the hour.
func TestARefusalCostsNoCertificateOfTheHour(t *testing.T) {
	h := keyHouse(t)
	r := h.with(func(c *enroll.Config) { c.PerHour, c.Attempts = 1, h.db })
	weak := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024)).Public()
	for range 3 {
		var denial *portal.Denial
		if _, err := r.EnrollKey(t.Context(), h.request("Server", "form"), weak); !errors.As(err, &denial) || denial.Why != portal.KeyRefused {
			t.Fatalf("got %v, want the key refused", err)
		}
	}
	must[enroll.Enrolment](t)(r.EnrollKey(t.Context(), h.request("Server", "form"), ecKey(t)))
	_, err := r.EnrollKey(t.Context(), h.request("Other", "form 2"), ecKey(t))
	wantRefusal(t, err, portal.TooOften)
}
