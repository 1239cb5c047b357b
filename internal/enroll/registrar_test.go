package enroll_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestEnrollIssues(t *testing.T) {
	p := newPortal(t)
	done := p.enroll("Anna's phone", "form-1")
	d := p.device(done.Device)
	if got, want := d.Certificate.Status, portal.Issued; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
	cert, err := x509.ParseCertificate(d.Certificate.DER)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cert.Subject.CommonName, "anna@corp.example"; got != want {
		t.Errorf("common name %q, want %q", got, want)
	}
	if err := cert.CheckSignatureFrom(p.Hierarchy.Issuing); err != nil {
		t.Error(err)
	}
	entries := p.Entries()
	for _, action := range []audit.Action{audit.CertificateReserved, audit.CertificateIssued} {
		if got, want := fixture.Count(entries, action), 1; got != want {
			t.Errorf("%d entries of %s, want %d", got, action, want)
		}
	}
}

// refusal asks for a certificate and expects a no that leaves no serial behind.
func (p *testPortal) refusal(r *enroll.Registrar, req enroll.Request) *portal.Refusal {
	p.T.Helper()
	before := fixture.Count(p.Entries(), audit.CertificateReserved)
	_, err := r.Enroll(p.T.Context(), req)
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) {
		p.T.Fatalf("Enroll: %v, want a refusal", err)
	}
	entries := p.Entries()
	if got := fixture.Count(entries, audit.CertificateReserved); got != before {
		p.T.Errorf("a refusal left %d serials", got-before)
	}
	if last := entries[len(entries)-1]; last.Action != audit.EnrolmentRefused || last.Detail["reason"] != string(refusal.Reason) {
		p.T.Errorf("last entry %s %v, want the refusal %s", last.Action, last.Detail, refusal.Reason)
	}
	return refusal
}

func TestEnrollRefusesBadInput(t *testing.T) {
	p := newPortal(t)
	p.enroll("Work phone", "first")
	tests := []struct {
		name   string
		change func(*enroll.Request)
		want   portal.Reason
	}{
		{"no name", func(r *enroll.Request) { r.Name = " \u202e\u200b " }, portal.NameEmpty},
		{"long name", func(r *enroll.Request) { r.Name = fmt.Sprintf("%041d", 1) }, portal.NameLong},
		{"name taken", func(r *enroll.Request) { r.Name = "work PHONE" }, portal.NameTaken},
		{"unknown platform", func(r *enroll.Request) { r.Platform = "symbian" }, portal.PlatformBad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := p.request("Other phone", "second")
			tt.change(&req)
			if got := p.refusal(p.Registrar, req).Reason; got != tt.want {
				t.Errorf("reason %q, want %q", got, tt.want)
			}
		})
	}
}

// changed is a directory in which one person is not as before.
type changed struct {
	portal.Directory
	change     func(*portal.Person)
	requireSID bool
	err        error
}

func (c changed) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := c.Directory.Person(ctx, id)
	if c.err != nil {
		return portal.Person{}, c.err
	}
	if c.change != nil {
		c.change(&p)
	}
	return p, err
}

func (c changed) RequiresSID() bool { return c.requireSID }

func TestEnrollReadsThePersonAfresh(t *testing.T) {
	tests := []struct {
		name string
		dir  changed
		want portal.Reason
	}{
		{"disabled since", changed{change: func(p *portal.Person) { p.Disabled = true }}, portal.Disabled},
		{"deleted since", changed{err: portal.ErrNotFound}, portal.Disabled},
		{"not in the group", changed{change: func(p *portal.Person) { p.MayEnroll = false }}, portal.NotAllowed},
		{"no UPN", changed{change: func(p *portal.Person) { p.UPN = "" }}, portal.NoUPN},
		{"no SID where all have one", changed{requireSID: true, change: func(p *portal.Person) { p.SID = "" }}, portal.NoSID},
		{"UPN that fits no certificate", changed{change: func(p *portal.Person) { p.UPN = "anna" }}, portal.BadIdentity},
		{"SID of another form", changed{change: func(p *portal.Person) { p.SID = "S-1-1-0x" }}, portal.BadIdentity},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newPortal(t)
			tt.dir.Directory = h.People
			r := h.NewRegistrar(func(c *enroll.Config) { c.Directory = tt.dir })
			if got := h.refusal(r, h.request("phone", "form")).Reason; got != tt.want {
				t.Errorf("reason %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEnrollDirectoryDown(t *testing.T) {
	p := newPortal(t)
	r := p.NewRegistrar(func(c *enroll.Config) { c.Directory = changed{Directory: p.People, err: io.ErrUnexpectedEOF} })
	_, err := r.Enroll(t.Context(), p.request("phone", "form"))
	var outage *portal.Outage
	if !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
		t.Fatalf("Enroll: %v, want an outage of the directory", err)
	}
	if got := fixture.Count(p.Entries(), audit.CertificateReserved); got != 0 {
		t.Errorf("%d serials, want 0", got)
	}
}

func TestQuota(t *testing.T) {
	p := newPortal(t)
	first := p.enroll("one", "1")
	p.enroll("two", "2")
	refusal := p.refusal(p.Registrar, p.request("three", "3"))
	if refusal.Reason != portal.QuotaReached || refusal.Limit != 2 {
		t.Fatalf("refusal %+v, want the quota of 2", refusal)
	}
	if err := p.Remove(t.Context(), p.actor(), first.Device); err != nil {
		t.Fatal(err)
	}
	// The same form again: the refusal did not use it up.
	p.enroll("three", "3")
}

func TestARefusalCostsNoKey(t *testing.T) {
	p := newPortal(t)
	p.enroll("one", "1")
	p.enroll("two", "2")
	pool := enroll.NewKeyPool(ca.ECP256, 1, slog.New(slog.DiscardHandler))
	go pool.Run(t.Context())
	for pool.Ready() < 1 {
		runtime.Gosched()
	}
	full := p.NewRegistrar(func(c *enroll.Config) { c.Keys = pool })
	for i := range 3 {
		p.refusal(full, p.request("three", fmt.Sprint("form ", i)))
		if got, want := pool.Ready(), 1; got != want {
			t.Fatalf("%d keys ready after a refusal, want %d", got, want)
		}
	}
}

func TestWaitingEndsWithTheRequest(t *testing.T) {
	p := newPortal(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Enroll(ctx, p.request("phone", "1")); err == nil {
		t.Fatal("Enroll succeeded for somebody who left")
	}
	if got := fixture.Count(p.Entries(), audit.CertificateReserved); got != 0 {
		t.Errorf("%d serials, want 0", got)
	}
	p.enroll("phone", "1")
}

func TestF22_DoubleTap(t *testing.T) {
	p := newPortal(t)
	const taps = 16
	results := make([]enroll.Enrolment, taps)
	errs := make([]error, taps)
	var wg sync.WaitGroup
	for i := range taps {
		wg.Go(func() { results[i], errs[i] = p.Enroll(t.Context(), p.request("phone", "same form")) })
	}
	wg.Wait()
	for i := range taps {
		if errs[i] != nil {
			t.Fatalf("tap %d: %v", i, errs[i])
		}
		if results[i].Device != results[0].Device || results[i].Serial != results[0].Serial {
			t.Errorf("tap %d got %v, want %v", i, results[i], results[0])
		}
	}
	if got, want := fixture.Count(p.Entries(), audit.CertificateReserved), 1; got != want {
		t.Errorf("%d serials, want %d", got, want)
	}
}

func TestF22_QuotaHoldsAgainstManyForms(t *testing.T) {
	p := newPortal(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			_, err := p.Enroll(t.Context(), p.request(fmt.Sprint("phone ", i), fmt.Sprint("form ", i)))
			var refusal *portal.Refusal
			if err != nil && !errors.As(err, &refusal) {
				t.Errorf("form %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if got, want := fixture.Count(p.Entries(), audit.CertificateIssued), 2; got != want {
		t.Errorf("%d certificates, want %d", got, want)
	}
}

// brokenIssuer prepares and does not sign.
type brokenIssuer struct{ enroll.Issuer }

func (brokenIssuer) Sign(*ca.Prepared) (*x509.Certificate, error) { return nil, io.ErrClosedPipe }

// brokenStore loses the second transaction, as a full disk does.
type brokenStore struct{ enroll.Store }

func (brokenStore) Complete(context.Context, enroll.Completion) error { return io.ErrShortWrite }

func TestF1_WhatCannotBeFinishedIsRevoked(t *testing.T) {
	tests := []struct {
		name   string
		change func(*enroll.Config)
		part   portal.Part
	}{
		{"signing breaks", func(c *enroll.Config) { c.Issuer = brokenIssuer{c.Issuer} }, portal.PartIssuer},
		{"storing breaks", func(c *enroll.Config) { c.Store = brokenStore{c.Store} }, portal.PartStore},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t)
			_, err := p.NewRegistrar(tt.change).Enroll(t.Context(), p.request("phone", "form"))
			var outage *portal.Outage
			if !errors.As(err, &outage) || outage.Part != tt.part {
				t.Fatalf("Enroll: %v, want an outage of the %s", err, tt.part)
			}
			entries := p.Entries()
			if got, want := fixture.Count(entries, audit.CertificateRevoked), 1; got != want {
				t.Errorf("%d revoked, want %d", got, want)
			}
			if p.Revoked.Load() == 0 {
				t.Error("the revocation list was not asked for")
			}
			// The same form works once the trouble is over, and nothing counts double.
			p.enroll("phone", "form")
			p.enroll("second phone", "form 2")
		})
	}
}

// deadStore loses everything after the reservation, as a crash does.
type deadStore struct{ enroll.Store }

func (deadStore) Complete(context.Context, enroll.Completion) error { return io.ErrShortWrite }
func (deadStore) Revoke(context.Context, enroll.Revocation) ([]ca.Serial, error) {
	return nil, io.ErrShortWrite
}

func TestF1_SweepRevokesWhatACrashLeft(t *testing.T) {
	p := newPortal(t)
	dead := p.NewRegistrar(func(c *enroll.Config) { c.Store = deadStore{c.Store} })
	if _, err := dead.Enroll(t.Context(), p.request("phone", "form")); err == nil {
		t.Fatal("Enroll succeeded, want an outage")
	}
	if err := p.Sweep(t.Context(), p.Stale()); err != nil {
		t.Fatal(err)
	}
	if got, want := fixture.Count(p.Entries(), audit.CertificateRevoked), 0; got != want {
		t.Errorf("%d revoked while the reservation may be in use, want %d", got, want)
	}
	p.Clock.Advance(time.Minute)
	if err := p.Sweep(t.Context(), p.Stale()); err != nil {
		t.Fatal(err)
	}
	if got, want := fixture.Count(p.Entries(), audit.CertificateRevoked), 1; got != want {
		t.Errorf("%d revoked after the sweep, want %d", got, want)
	}
}

func TestSweepRevokesTheUndelivered(t *testing.T) {
	p := newPortal(t)
	fetched, left := p.enroll("fetched", "1"), p.enroll("left", "2")
	p.read(fetched)
	p.Clock.Advance(enroll.PickupLife + time.Second)
	if err := p.Sweep(t.Context(), p.Stale()); err != nil {
		t.Fatal(err)
	}
	if got, want := p.device(fetched.Device).Certificate.Status, portal.Issued; got != want {
		t.Errorf("fetched certificate is %q, want %q", got, want)
	}
	cert := p.device(left.Device).Certificate
	if cert.Status != portal.Revoked || cert.Cause != portal.Undelivered {
		t.Errorf("unfetched certificate is %q (%q), want revoked (undelivered)", cert.Status, cert.Cause)
	}
}

func TestNewFileReplacesTheOld(t *testing.T) {
	p := newPortal(t)
	first := p.enroll("phone", "1")
	req := p.request("", "2")
	req.Device = first.Device
	second, err := p.Enroll(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if second.Device != first.Device || second.Serial == first.Serial {
		t.Errorf("got %v after %v, want another serial for the same device", second, first)
	}
	if _, err := p.OpenFile(t.Context(), p.token(first)); !isGone(err) {
		t.Errorf("the old file: %v, want it gone", err)
	}
	p.read(second)
}

// TestNewFileLetsTheOldOneWork: a new file for a device that works ends nothing unasked.
func TestNewFileLetsTheOldOneWork(t *testing.T) {
	p := newPortal(t)
	first := p.installed("phone")
	newFile := func(form string, ends ca.Serial) (enroll.Enrolment, error) {
		t.Helper()
		req := p.request("", form)
		req.Device, req.Ends = first.Device, ends
		return p.Enroll(t.Context(), req)
	}
	unfetched := testkit.Must(newFile("2", ca.Serial{}))(t)
	p.wantStatus("working", first, portal.Superseded)
	if _, err := p.OpenFile(t.Context(), p.token(first)); !isGone(err) {
		t.Errorf("the old file: %v, want it gone", err)
	}
	p.Clock.Advance(enroll.PickupLife)
	p.sweep()
	p.wantStatus("unfetched", unfetched, portal.Revoked)
	p.wantStatus("working", first, portal.Issued)

	second := testkit.Must(newFile("3", ca.Serial{}))(t)
	p.read(second)
	for _, ends := range []ca.Serial{{}, first.Serial, unfetched.Serial} {
		if _, err := newFile("4", ends); !errors.Is(err, enroll.ErrFileInUse) {
			t.Errorf("a third file that ends %s: %v, want a question", ends, err)
		}
	}
	p.wantStatus("second", second, portal.Issued)
	third := testkit.Must(newFile("4", second.Serial))(t)
	p.wantStatus("second", second, portal.Revoked)
	p.wantStatus("working", first, portal.Superseded)
	p.read(third)
	testkit.NoError(t, p.Finish(t.Context(), p.request("", "").By, first.Device))
	p.wantStatus("working", first, portal.Revoked)
	p.wantStatus("third", third, portal.Issued)
}

func TestStrangersFindNothing(t *testing.T) {
	p := newPortal(t)
	done := p.enroll("phone", "1")
	bob := p.Add("bob", "")
	if _, err := p.Device(t.Context(), bob.ID, done.Device); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("Device: %v, want ErrNotFound", err)
	}
	if err := p.Remove(t.Context(), fixture.Employee(bob), done.Device); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("Remove: %v, want ErrNotFound", err)
	}
	req := p.request("", "2")
	req.By, req.Device = fixture.Employee(bob), done.Device
	if _, err := p.Enroll(t.Context(), req); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("Enroll: %v, want ErrNotFound", err)
	}
}

func TestA1_KeysAreTheRegistrars(t *testing.T) {
	p := newPortal(t)
	a, b := p.enroll("one", "1"), p.enroll("two", "2")
	keyOf := func(e enroll.Enrolment) crypto.PublicKey {
		f, err := p.OpenFile(t.Context(), p.token(e))
		if err != nil {
			t.Fatal(err)
		}
		return f.Key.Public()
	}
	if keyOf(a).(interface{ Equal(crypto.PublicKey) bool }).Equal(keyOf(b)) {
		t.Error("two devices got the same key")
	}
}

// TestA17_NobodyFillsTheRevocationList: asking again and again for the same device
// passes no quota, and each certificate replaced is listed for a year.
func TestA17_NobodyFillsTheRevocationList(t *testing.T) {
	h := newPortal(t)
	bob := h.Add("bob", "")
	r := h.NewRegistrar(func(c *enroll.Config) { c.PerHour = 3 })
	ask := func(p portal.Person, i int, device portal.DeviceID) (enroll.Enrolment, error) {
		req := h.request("Phone", fmt.Sprint(p.ID, i))
		req.By, req.Device = fixture.Employee(p), device
		return r.Enroll(t.Context(), req)
	}
	first, err := ask(h.anna, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := ask(h.anna, 1+i, first.Device); err != nil {
			t.Fatal(err)
		}
	}
	_, err = ask(h.anna, 3, first.Device)
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != portal.TooOften || refusal.Limit != 3 || !refusal.Until.After(h.Clock.Now()) {
		t.Fatalf("the fourth: %v, want it refused", err)
	}
	if got := fixture.Count(h.Entries(), audit.CertificateReserved); got != 3 {
		t.Errorf("%d serials used, want 3", got)
	}
	if _, err := ask(bob, 0, ""); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	h.Clock.Advance(time.Hour + time.Second)
	if _, err := ask(h.anna, 4, first.Device); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	// A failure of the portal does not count as an attempt of the person.
	broken := h.NewRegistrar(func(c *enroll.Config) { c.PerHour, c.Issuer = 3, silent{} })
	for i := range 10 {
		req := h.request("Phone", fmt.Sprint("outage ", i))
		req.Device = first.Device
		var outage *portal.Outage
		if _, err := broken.Enroll(t.Context(), req); !errors.As(err, &outage) {
			t.Fatalf("try %d without an issuer: %v, want an outage", i, err)
		}
	}
	if _, err := ask(h.anna, 5, first.Device); err != nil {
		t.Errorf("the issuer is back: %v", err)
	}
}

// silent is an issuer that does not answer.
type silent struct{}

func (silent) Prepare(*ca.Profile, ca.Subject, crypto.PublicKey, time.Time) (*ca.Prepared, error) {
	return nil, io.ErrUnexpectedEOF
}
func (silent) Sign(*ca.Prepared) (*x509.Certificate, error) { return nil, io.ErrUnexpectedEOF }
