package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// keyPortal lets devices make their own keys.
func keyPortal(t *testing.T) *testPortal {
	t.Helper()
	p := newPortal(t)
	p.Config.DeviceKeys = true
	p.Registrar = p.NewRegistrar(func(*enroll.Config) {})
	return p
}

func (p *testPortal) challenge(name, form string) enroll.Challenge {
	p.T.Helper()
	return testkit.Must(p.NewChallenge(p.T.Context(), p.request(name, form)))(p.T)
}

// wantDenial expects a denial that is recorded with this reason.
func (p *testPortal) wantDenial(err error, why string) {
	p.T.Helper()
	var denial *portal.Denial
	if !errors.As(err, &denial) || denial.Why != why {
		p.T.Errorf("got %v, want denial %s", err, why)
	}
	entries := p.Entries()
	if last := entries[len(entries)-1]; last.Action != audit.EnrolmentRefused || last.Detail["reason"] != why {
		p.T.Errorf("last entry %s %v, want refusal %s", last.Action, last.Detail, why)
	}
}

func TestChallengeOpensByTokenAndSession(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	if len(c.Secret) != 43 || c.Secret == string(c.Token) {
		t.Errorf("secret %q, token %q", c.Secret, c.Token)
	}
	for name, open := range map[string]func() (enroll.Challenge, error){
		"address": func() (enroll.Challenge, error) { return p.OpenChallenge(t.Context(), c.Token) },
		"page": func() (enroll.Challenge, error) {
			return p.WaitingChallenge(t.Context(), p.anna.ID, c.Device.ID, p.PickupKey)
		},
	} {
		got := testkit.Must(open())(t)
		if got.Secret != c.Secret || got.Token != c.Token || !got.Expires.Equal(c.Expires) || got.Device.Name != "Phone" {
			t.Errorf("%s: got %v, want %v", name, got, c)
		}
	}
	_, err := p.WaitingChallenge(t.Context(), p.anna.ID, c.Device.ID, enroll.PickupKey{9})
	if !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("another session: %v", err)
	}
	if _, err := p.OpenChallenge(t.Context(), enroll.PickupKey{9}.Token(portal.Certificate{}.Serial)); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("another token: %v", err)
	}
	if err := p.NoteChallengeRead(t.Context(), p.actor(), c); err != nil {
		t.Fatal(err)
	}
	if got := fixture.Count(p.Entries(), audit.ChallengeRead); got != 1 {
		t.Errorf("%d reads recorded", got)
	}
}

func TestChallengeEnds(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	testkit.Must(p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
	var gone *portal.Gone
	if _, err := p.OpenChallenge(t.Context(), c.Token); !errors.As(err, &gone) || !gone.Used {
		t.Errorf("used: got %v", err)
	}
	if _, err := p.WaitingChallenge(t.Context(), p.anna.ID, c.Device.ID, p.PickupKey); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("used: %v", err)
	}
	c = p.challenge("Other phone", "form 2")
	p.Clock.Advance(enroll.ChallengeLife)
	if _, err := p.OpenChallenge(t.Context(), c.Token); !errors.As(err, &gone) || gone.Used {
		t.Errorf("run out: got %v", err)
	}
}

// Two taps are one device, and the later challenge is the one that works.
func TestChallengeOfTheSameForm(t *testing.T) {
	p := keyPortal(t)
	first, second := p.challenge("Phone", "form"), p.challenge("Phone", "form")
	if first.Device.ID != second.Device.ID {
		t.Errorf("devices %s and %s", first.Device.ID, second.Device.ID)
	}
	_, err := p.Redeem(t.Context(), portal.Actor{}, first.Secret, testkit.ECKey(t).Public())
	p.wantDenial(err, portal.ChallengeUnknown)
	testkit.Must(p.Redeem(t.Context(), portal.Actor{}, second.Secret, testkit.ECKey(t).Public()))(t)
	if devices := testkit.Must(p.Devices(t.Context(), p.anna.ID))(t); len(devices) != 1 {
		t.Errorf("%d devices", len(devices))
	}
}

// The next profile of a device supersedes what it had, and only then may there be anything
// to publish.
func TestRedeemReplaces(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	testkit.Must(p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
	if got := p.Revoked.Load(); got != 0 {
		t.Errorf("%d calls for a new list after a first certificate", got)
	}
	again := testkit.Must(p.NewChallenge(t.Context(), enroll.Request{By: p.actor(), Device: c.Device.ID, PickupKey: p.PickupKey}))(t)
	testkit.Must(p.Redeem(t.Context(), portal.Actor{}, again.Secret, testkit.ECKey(t).Public()))(t)
	if got := fixture.Count(p.Entries(), audit.CertificateSuperseded); got != 1 || p.Revoked.Load() != 1 {
		t.Errorf("%d superseded and %d calls for a new list, want one of each", got, p.Revoked.Load())
	}
}

func TestChallengeKeepsToThePolicy(t *testing.T) {
	h := keyPortal(t)
	h.enroll("First", "1")
	tests := []struct {
		name   string
		change func(*portal.Person)
		req    enroll.Request
		want   portal.Reason
	}{
		{"disabled", func(p *portal.Person) { p.Disabled = true }, h.request("x", ""), portal.Disabled},
		{"protected", func(p *portal.Person) { p.Protected = true }, h.request("x", ""), portal.Protected},
		{"conflict", func(p *portal.Person) { p.Conflict = portal.UPNTaken }, h.request("x", ""), portal.Conflicting},
		{"not allowed", func(p *portal.Person) { p.MayEnroll = false }, h.request("x", ""), portal.NotAllowed},
		{"no UPN", func(p *portal.Person) { p.UPN = "" }, h.request("x", ""), portal.NoUPN},
		{"bad UPN", func(p *portal.Person) { p.UPN = "anna" }, h.request("x", ""), portal.BadIdentity},
		{"no name", func(*portal.Person) {}, h.request(" ", ""), portal.NameEmpty},
		{"name taken", func(*portal.Person) {}, h.request("FIRST", ""), portal.NameTaken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := h.NewRegistrar(func(c *enroll.Config) { c.Directory = changed{Directory: h.People, change: tt.change} })
			_, err := r.NewChallenge(t.Context(), tt.req)
			var refusal *portal.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			entries := h.Entries()
			if last := entries[len(entries)-1]; last.Detail["reason"] != string(tt.want) {
				t.Errorf("last entry %s %v", last.Action, last.Detail)
			}
		})
	}
	h.enroll("Second", "2")
	_, err := h.NewChallenge(t.Context(), h.request("Third", "3"))
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != portal.QuotaReached {
		t.Errorf("third device of two: got %v", err)
	}
}

// The quota holds when the challenges were made before the devices came.
func TestF22_ChallengesBeyondTheQuota(t *testing.T) {
	p := keyPortal(t)
	all := []enroll.Challenge{p.challenge("One", "1"), p.challenge("Two", "2"), p.challenge("Three", "3")}
	for i, c := range all {
		_, err := p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public())
		var refusal *portal.Refusal
		if refused := errors.As(err, &refusal) && refusal.Reason == portal.QuotaReached; refused != (i == 2) {
			t.Errorf("device %d: got %v", i+1, err)
		}
	}
}

// What changes between profile and request, changes the answer (A11, A15).
func TestA15_ChallengeIsBoundToNames(t *testing.T) {
	h := keyPortal(t)
	c := h.challenge("Phone", "form")
	for name, change := range map[string]func(*portal.Person){
		"UPN":  func(p *portal.Person) { p.UPN = "anna.new@corp.example" },
		"SID":  func(p *portal.Person) { p.SID += "9" },
		"mail": func(p *portal.Person) { p.Mail = "other@corp.example" },
	} {
		t.Run(name, func(t *testing.T) {
			r := h.NewRegistrar(func(c *enroll.Config) { c.Directory = changed{Directory: h.People, change: change} })
			_, err := r.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public())
			h.wantDenial(err, portal.ChallengeNames)
		})
	}
	testkit.Must(h.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
}

// An outage before anything is recorded uses up no challenge.
func TestChallengeOutlivesAnOutage(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	r := p.NewRegistrar(func(c *enroll.Config) { c.Directory = changed{Directory: p.People, err: context.DeadlineExceeded} })
	_, err := r.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public())
	var out *portal.Outage
	if !errors.As(err, &out) || out.Part != portal.PartDirectory {
		t.Errorf("got %v, want an outage of the directory", err)
	}
	testkit.Must(p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
}

func TestRemovedDeviceDoesNotEnrol(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	if err := p.Remove(t.Context(), p.actor(), c.Device.ID); err != nil {
		t.Fatal(err)
	}
	_, err := p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public())
	p.wantDenial(err, portal.DeviceGone)
}

func TestEnrollKey(t *testing.T) {
	p := keyPortal(t)
	key := testkit.ECKey(t).Public()
	done := testkit.Must(p.EnrollKey(t.Context(), p.request("Server", "form"), key))(t)
	cert := testkit.Must(x509.ParseCertificate(p.device(done.Device).Certificate.DER))(t)
	if !key.(*ecdsa.PublicKey).Equal(cert.PublicKey) || cert.Subject.CommonName != p.anna.UPN {
		t.Errorf("certificate of %s", cert.Subject)
	}
	again := testkit.Must(p.EnrollKey(t.Context(), p.request("Server", "form"), key))(t)
	if !again.Again || again.Serial != done.Serial {
		t.Errorf("second tap: got %v, want %v", again, done)
	}
	var denial *portal.Denial
	if _, err := p.EnrollKey(t.Context(), p.request("Other", "form 2"), key); !errors.As(err, &denial) || denial.Why != portal.KeyReused {
		t.Errorf("the same key: got %v", err)
	}
	entries := p.Entries()
	if last := entries[len(entries)-1]; last.Actor != string(p.anna.ID) || last.Detail["reason"] != portal.KeyReused {
		t.Errorf("last entry by %q %v", last.Actor, last.Detail)
	}
	if _, err := p.Pickup(t.Context(), p.token(done)); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("a pickup without a key: %v", err)
	}
}

func FuzzParseKeyRequest(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	seed, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "phone"}, DNSNames: []string{"phone.example"},
	}, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := enroll.ParseKeyRequest(raw); err == nil && r.Key == nil {
			t.Error("a request without a key is taken")
		}
	})
}
