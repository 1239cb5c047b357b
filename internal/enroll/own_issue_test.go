package enroll_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// failingSigner is a key in an HSM that does not answer.
type failingSigner struct{ crypto.Signer }

func (failingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, io.ErrClosedPipe
}

// failingComplete loses the second transaction, as a full disk does.
type failingComplete struct{ enroll.OwnStore }

func (failingComplete) Complete(context.Context, enroll.Completion) error { return io.ErrShortWrite }

// cancelingReserve cancels the caller's context while the reservation is recorded.
type cancelingReserve struct {
	enroll.OwnStore
	cancel func()
}

func (s cancelingReserve) Reserve(ctx context.Context, r enroll.Reservation) error {
	s.cancel()
	return s.OwnStore.Reserve(ctx, r)
}

// ownFixture issues own certificates over the store of a portal.
type ownFixture struct {
	*testPortal
	hierarchy *ca.Hierarchy
	config    enroll.OwnConfig
	revoked   int
}

func newOwnFixture(t *testing.T) *ownFixture {
	t.Helper()
	p := newPortal(t)
	f := &ownFixture{testPortal: p, hierarchy: p.Hierarchy}
	f.config = enroll.OwnConfig{
		Store: f.DB, Issuer: f.issuer(f.hierarchy.IssuingKey), Revoked: func() { f.revoked++ }, Now: f.Clock.Now,
		Log: slog.New(slog.DiscardHandler),
	}
	return f
}

func (f *ownFixture) issuer(key crypto.Signer) func() (*ca.Issuer, error) {
	return func() (*ca.Issuer, error) {
		return ca.NewIssuer(ca.IssuerConfig{
			Certificate: f.hierarchy.Issuing, Signer: key, Publication: fixture.Publication(),
		})
	}
}

func (f *ownFixture) own() *enroll.OwnIssuer {
	f.T.Helper()
	return testkit.Must(enroll.NewOwnIssuer(f.config))(f.T)
}

func (f *ownFixture) ownRequest() enroll.OwnRequest {
	f.T.Helper()
	return enroll.OwnRequest{
		Profile: "Server", Key: testkit.Must(ca.ECP256.Generate())(f.T).Public(), Detail: map[string]string{"names": "portal.example"},
		Certificate: ca.ServerConfig{Names: []string{"portal.example"}},
	}
}

// pending are the unfinished reservations.
func (f *ownFixture) pending() []ca.Serial {
	f.T.Helper()
	return testkit.Must(f.DB.Unfinished(context.WithoutCancel(f.T.Context()), f.Clock.Now().Add(time.Hour), 10))(f.T)
}

// about are the actions of the audit entries about a serial, in their order.
func (f *ownFixture) about(serial string) (entries []audit.Entry) {
	f.T.Helper()
	for _, e := range f.Entries() {
		if e.Object == serial {
			entries = append(entries, e)
		}
	}
	return entries
}

func TestIssueOwn(t *testing.T) {
	f := newOwnFixture(t)
	tests := []struct {
		name        string
		entry       audit.Entry
		actor, role string
	}{
		{"for the portal", audit.Entry{}, "system", "system"},
		{"for an administrator", audit.Entry{Actor: "ada", Role: "admin", Request: "r1"}, "ada", "admin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := f.ownRequest()
			req.Entry = tt.entry
			cert, err := f.own().IssueOwn(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if err := cert.CheckSignatureFrom(f.hierarchy.Issuing); err != nil {
				t.Error(err)
			}
			entries := f.about(testkit.Must(ca.SerialOf(cert.SerialNumber))(t).String())
			if len(entries) != 2 || entries[0].Action != audit.CertificateReserved || entries[1].Action != audit.CertificateIssued {
				t.Fatalf("audit log: got %+v, want a reservation and an issued certificate", entries)
			}
			for _, e := range entries {
				if e.Actor != tt.actor || e.Role != tt.role || e.Request != tt.entry.Request ||
					e.Detail["profile"] != "Server" || e.Detail["names"] != "portal.example" {
					t.Errorf("audit entry: got %+v", e)
				}
			}
		})
	}
	if f.revoked != 0 || len(f.pending()) != 0 {
		t.Errorf("revoked %d times, pending %v", f.revoked, f.pending())
	}
}

func TestF1_OwnCertificateThatCannotBeCompletedIsRevoked(t *testing.T) {
	tests := []struct {
		name   string
		change func(*ownFixture)
		part   portal.Part
	}{
		{"signing fails", func(f *ownFixture) { f.config.Issuer = f.issuer(failingSigner{f.hierarchy.IssuingKey}) }, portal.PartIssuer},
		{"completing fails", func(f *ownFixture) { f.config.Store = failingComplete{f.DB} }, portal.PartStore},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newOwnFixture(t)
			tt.change(f)
			cert, err := f.own().IssueOwn(t.Context(), f.ownRequest())
			var outage *portal.Outage
			if cert != nil || !errors.As(err, &outage) || outage.Part != tt.part {
				t.Fatalf("IssueOwn: %v, want an outage of the %s", err, tt.part)
			}
			if got := fixture.Count(f.Entries(), audit.CertificateRevoked); got != 1 || f.revoked != 1 || len(f.pending()) != 0 {
				t.Errorf("%d revoked, Revoked called %d times, pending %v", got, f.revoked, f.pending())
			}
		})
	}
}

// A caller that goes away before the reservation leaves nothing, and later cannot leave
// a certificate half issued.
func TestF1_OwnCertificateIsCompletedWhenTheCallerCancels(t *testing.T) {
	f := newOwnFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.config.Store = cancelingReserve{f.DB, cancel}
	if _, err := f.own().IssueOwn(ctx, f.ownRequest()); err != nil {
		t.Errorf("cancelled during the reservation: %v", err)
	}
	if _, err := f.own().IssueOwn(ctx, f.ownRequest()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: got %v, want %v", err, context.Canceled)
	}
	entries := f.Entries()
	if r, i := fixture.Count(entries, audit.CertificateReserved), fixture.Count(entries, audit.CertificateIssued); r != 1 || i != 1 || len(f.pending()) != 0 {
		t.Errorf("%d reserved, %d issued, pending %v", r, i, f.pending())
	}
}

func TestIssueOwnRefuses(t *testing.T) {
	f := newOwnFixture(t)
	sealed := errors.New("the CA is sealed")
	f.config.Issuer = func() (*ca.Issuer, error) { return nil, sealed }
	if _, err := f.own().IssueOwn(t.Context(), f.ownRequest()); !errors.Is(err, sealed) {
		t.Errorf("sealed CA: got %v", err)
	}
	f.config.Issuer = f.issuer(f.hierarchy.IssuingKey)
	req := f.ownRequest()
	req.Certificate = ca.ServerConfig{Names: []string{"*.example"}}
	if _, err := f.own().IssueOwn(t.Context(), req); err == nil {
		t.Error("a wildcard name is certified")
	}
	if got := fixture.Count(f.Entries(), audit.CertificateReserved); got != 0 {
		t.Errorf("%d reserved", got)
	}
	for _, c := range []enroll.OwnConfig{{Store: f.DB}, {Issuer: f.config.Issuer}} {
		if _, err := enroll.NewOwnIssuer(c); err == nil {
			t.Errorf("a part is missing, and no error: %+v", c)
		}
	}
}
