package enroll_test

import (
	"context"
	"crypto"
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
)

// keyHouse lets devices make their own keys.
func keyHouse(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.config.Challenges = h.db
	h.Registrar = h.with(func(*enroll.Config) {})
	return h
}

func (h *house) challenge(name, form string) enroll.Challenge {
	h.t.Helper()
	return must[enroll.Challenge](h.t)(h.NewChallenge(h.t.Context(), h.request(name, form)))
}

func ecKey(t *testing.T) crypto.PublicKey {
	t.Helper()
	return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()
}

// wantDenial expects a no that is recorded with this word.
func (h *house) wantDenial(err error, why string) {
	h.t.Helper()
	var denial *portal.Denial
	if !errors.As(err, &denial) || denial.Why != why {
		h.t.Errorf("got %v, want denial %s", err, why)
	}
	entries := h.checkLedger()
	if last := entries[len(entries)-1]; last.Action != audit.EnrolmentRefused || last.Detail["reason"] != why {
		h.t.Errorf("last entry %s %v, want refusal %s", last.Action, last.Detail, why)
	}
}

func TestChallengeOpensByTokenAndSession(t *testing.T) {
	h := keyHouse(t)
	c := h.challenge("Phone", "form")
	if len(c.Secret) != 43 || c.Secret == string(c.Token) {
		t.Errorf("secret %q, token %q", c.Secret, c.Token)
	}
	for name, open := range map[string]func() (enroll.Challenge, error){
		"address": func() (enroll.Challenge, error) { return h.OpenChallenge(t.Context(), c.Token) },
		"page": func() (enroll.Challenge, error) {
			return h.WaitingChallenge(t.Context(), h.anna.ID, c.Device.ID, h.key)
		},
	} {
		got := must[enroll.Challenge](t)(open())
		if got.Secret != c.Secret || got.Token != c.Token || !got.Expires.Equal(c.Expires) || got.Device.Name != "Phone" {
			t.Errorf("%s: got %v, want %v", name, got, c)
		}
	}
	_, err := h.WaitingChallenge(t.Context(), h.anna.ID, c.Device.ID, enroll.PickupKey{9})
	if !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("another session: %v", err)
	}
	if _, err := h.OpenChallenge(t.Context(), enroll.PickupKey{9}.Token(portal.Certificate{}.Serial)); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("another token: %v", err)
	}
	if err := h.NoteChallengeRead(t.Context(), h.by(), c); err != nil {
		t.Fatal(err)
	}
	if got := count(h.checkLedger(), audit.ChallengeRead); got != 1 {
		t.Errorf("%d reads recorded", got)
	}
}

func TestChallengeEnds(t *testing.T) {
	h := keyHouse(t)
	c := h.challenge("Phone", "form")
	must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t)))
	var gone *portal.Gone
	if _, err := h.OpenChallenge(t.Context(), c.Token); !errors.As(err, &gone) || !gone.Used {
		t.Errorf("used: got %v", err)
	}
	if _, err := h.WaitingChallenge(t.Context(), h.anna.ID, c.Device.ID, h.key); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("used: %v", err)
	}
	c = h.challenge("Other phone", "form 2")
	h.pass(enroll.ChallengeLife)
	if _, err := h.OpenChallenge(t.Context(), c.Token); !errors.As(err, &gone) || gone.Used {
		t.Errorf("run out: got %v", err)
	}
}

// Two taps are one device, and the later challenge is the one that works.
func TestChallengeOfTheSameForm(t *testing.T) {
	h := keyHouse(t)
	first, second := h.challenge("Phone", "form"), h.challenge("Phone", "form")
	if first.Device.ID != second.Device.ID {
		t.Errorf("devices %s and %s", first.Device.ID, second.Device.ID)
	}
	_, err := h.Redeem(t.Context(), portal.Actor{}, first.Secret, ecKey(t))
	h.wantDenial(err, portal.ChallengeUnknown)
	must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, second.Secret, ecKey(t)))
	if devices := must[[]portal.Device](t)(h.Devices(t.Context(), h.anna.ID)); len(devices) != 1 {
		t.Errorf("%d devices", len(devices))
	}
}

// The next profile of a device ends what it had, and only then is there anything
// to publish.
func TestRedeemReplaces(t *testing.T) {
	h := keyHouse(t)
	c := h.challenge("Phone", "form")
	must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t)))
	if got := h.revoked.Load(); got != 0 {
		t.Errorf("%d calls for a new list after a first certificate", got)
	}
	again := must[enroll.Challenge](t)(h.NewChallenge(t.Context(), enroll.Request{By: h.by(), Device: c.Device.ID, PickupKey: h.key}))
	must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, again.Secret, ecKey(t)))
	if got := count(h.checkLedger(), audit.CertificateRevoked); got != 1 || h.revoked.Load() != 1 {
		t.Errorf("%d revoked and %d calls for a new list, want one of each", got, h.revoked.Load())
	}
}

func TestChallengeKeepsToThePolicy(t *testing.T) {
	h := keyHouse(t)
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
			r := h.with(func(c *enroll.Config) { c.Directory = changed{Directory: h.people, change: tt.change} })
			_, err := r.NewChallenge(t.Context(), tt.req)
			var refusal *portal.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			entries := h.checkLedger()
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
	h := keyHouse(t)
	all := []enroll.Challenge{h.challenge("One", "1"), h.challenge("Two", "2"), h.challenge("Three", "3")}
	for i, c := range all {
		_, err := h.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t))
		var refusal *portal.Refusal
		if refused := errors.As(err, &refusal) && refusal.Reason == portal.QuotaReached; refused != (i == 2) {
			t.Errorf("device %d: got %v", i+1, err)
		}
	}
}

// What changes between profile and request, changes the answer (A11, A15).
func TestA15_ChallengeIsBoundToNames(t *testing.T) {
	h := keyHouse(t)
	c := h.challenge("Phone", "form")
	for name, change := range map[string]func(*portal.Person){
		"UPN":  func(p *portal.Person) { p.UPN = "anna.new@corp.example" },
		"SID":  func(p *portal.Person) { p.SID += "9" },
		"mail": func(p *portal.Person) { p.Mail = "other@corp.example" },
	} {
		t.Run(name, func(t *testing.T) {
			r := h.with(func(c *enroll.Config) { c.Directory = changed{Directory: h.people, change: change} })
			_, err := r.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t))
			h.wantDenial(err, portal.ChallengeNames)
		})
	}
	must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t)))
}

// An outage before anything is recorded costs nobody their challenge.
func TestChallengeOutlivesAnOutage(t *testing.T) {
	h := keyHouse(t)
	c := h.challenge("Phone", "form")
	r := h.with(func(c *enroll.Config) { c.Directory = changed{Directory: h.people, err: context.DeadlineExceeded} })
	_, err := r.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t))
	var out *portal.Outage
	if !errors.As(err, &out) || out.Part != portal.PartDirectory {
		t.Errorf("got %v, want an outage of the directory", err)
	}
	must[*x509.Certificate](t)(h.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t)))
}

func TestRemovedDeviceDoesNotEnrol(t *testing.T) {
	h := keyHouse(t)
	c := h.challenge("Phone", "form")
	if err := h.Remove(t.Context(), h.by(), c.Device.ID); err != nil {
		t.Fatal(err)
	}
	_, err := h.Redeem(t.Context(), portal.Actor{}, c.Secret, ecKey(t))
	h.wantDenial(err, portal.DeviceGone)
}

func TestEnrollKey(t *testing.T) {
	h := keyHouse(t)
	key := ecKey(t)
	done := must[enroll.Enrolment](t)(h.EnrollKey(t.Context(), h.request("Server", "form"), key))
	cert := must[*x509.Certificate](t)(x509.ParseCertificate(h.device(done.Device).Certificate.DER))
	if !key.(*ecdsa.PublicKey).Equal(cert.PublicKey) || cert.Subject.CommonName != h.anna.UPN {
		t.Errorf("certificate of %s", cert.Subject)
	}
	again := must[enroll.Enrolment](t)(h.EnrollKey(t.Context(), h.request("Server", "form"), key))
	if !again.Again || again.Serial != done.Serial {
		t.Errorf("second tap: got %v, want %v", again, done)
	}
	var denial *portal.Denial
	if _, err := h.EnrollKey(t.Context(), h.request("Other", "form 2"), key); !errors.As(err, &denial) || denial.Why != portal.KeyReused {
		t.Errorf("the same key: got %v", err)
	}
	entries := h.checkLedger()
	if last := entries[len(entries)-1]; last.Actor != string(h.anna.ID) || last.Detail["reason"] != portal.KeyReused {
		t.Errorf("last entry by %q %v", last.Actor, last.Detail)
	}
	if _, err := h.Pickup(t.Context(), h.token(done)); !errors.Is(err, portal.ErrNotFound) {
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
