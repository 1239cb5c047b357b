package enroll_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// restarting is a store that is away when the certificate is to be recorded, and back later.
type restarting struct {
	enroll.Store
	back *atomic.Bool
}

var errRestarts = errors.New("the database restarts")

func (s restarting) Complete(ctx context.Context, c enroll.Completion) error {
	if !s.back.Load() {
		return errRestarts
	}
	return s.Store.Complete(ctx, c)
}

func (s restarting) Revoke(ctx context.Context, r enroll.Revocation) ([]ca.Serial, error) {
	if !s.back.Load() {
		return nil, errRestarts
	}
	return s.Store.Revoke(ctx, r)
}

// A reservation that failed because the database restarts is known as failed at once, is
// ended without a sweep when the database is back, and the same form then works.
func TestF5_AbandonedIsEndedWhenTheStoreIsBack(t *testing.T) {
	back := new(atomic.Bool)
	p := newPortal(t, func(c *enroll.Config) { c.Store = restarting{c.Store, back} })
	request := p.request("phone", "form")
	_, err := p.Enroll(t.Context(), request)
	var outage *portal.Outage
	if !errors.As(err, &outage) || outage.Part != portal.PartStore {
		t.Fatalf("enrolling: %v, want an outage of the store", err)
	}
	serial := testkit.Must(p.DB.Unfinished(t.Context(), p.Clock.Now().Add(time.Hour), 10))(t)[0]
	pending := portal.Certificate{Serial: serial, Status: portal.Pending}
	testkit.Equal(t, "it failed", p.Failed(pending), true)
	back.Store(true)
	testkit.Eventually(t, "it is ended", func() bool { return !p.Failed(pending) })
	testkit.Equal(t, "unfinished", len(testkit.Must(p.DB.Unfinished(t.Context(), p.Clock.Now().Add(time.Hour), 10))(t)), 0)
	testkit.Equal(t, "revocations", fixture.Count(p.Entries(), audit.CertificateRevoked), 1)
	again := testkit.Must(p.Enroll(t.Context(), request))(t)
	issued := testkit.Must(p.Device(t.Context(), p.anna.ID, again.Device))(t)
	testkit.Equal(t, "status", issued.Certificate.Status, portal.Issued)
	testkit.Equal(t, "it failed", p.Failed(issued.Certificate), false)
}
