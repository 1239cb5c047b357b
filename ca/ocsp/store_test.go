package ocsp_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/pgtest"
	"certportal/store"
)

var _ ocsp.Store = (*store.DB)(nil)

// postgres is started by the first test that needs it.
var postgres pgtest.Server

func TestMain(m *testing.M) {
	code := m.Run()
	postgres.Stop()
	os.Exit(code)
}

// onBoth runs a test with a database URL of each engine.
func onBoth(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "portal.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres.Database(t)) })
}

// replica is a responder with its own connection to the database.
type replica struct {
	*bench
	db *store.DB
}

func newReplica(t testing.TB, address string) *replica {
	t.Helper()
	h, err := hierarchies[ca.ECP256]()
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &replica{bench: newCA(t, h, noon), db: db}
	r.Responder = r.responder(db, func(c *ocsp.Config) { c.Certify = r.record })
	r.mustRefresh()
	return r
}

// record certifies a signer as the portal does: it records the certificate, then signs it.
func (r *replica) record(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
	cert, err := r.certify(ctx, key)
	if err != nil {
		return nil, err
	}
	return cert, r.enter(ctx, cert, true)
}

// enter records a certificate as one of the portal's own: reserved, then completed.
func (r *replica) enter(ctx context.Context, cert *x509.Certificate, complete bool) error {
	entry := func(action audit.Action) audit.Entry {
		return audit.Entry{At: noon, Action: action, Actor: "system", Role: "system", Object: serialOf(r.t, cert).String()}
	}
	err := r.db.Reserve(ctx, enroll.Reservation{
		Serial: serialOf(r.t, cert), Kind: portal.KindServer, Profile: "Test", PublicKey: sha256.Sum256(cert.RawSubjectPublicKeyInfo),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Requested: noon, Entry: entry(audit.CertificateReserved),
	})
	if err != nil || !complete {
		return err
	}
	return r.db.Complete(ctx, enroll.Completion{
		Serial: serialOf(r.t, cert), Certificate: cert, At: noon, Entry: entry(audit.CertificateIssued),
	})
}

func (r *replica) issue() *x509.Certificate {
	r.t.Helper()
	cert := r.user()
	if err := r.enter(r.t.Context(), cert, true); err != nil {
		r.t.Fatal(err)
	}
	return cert
}

func (r *replica) end(cert *x509.Certificate, cause portal.Cause) {
	r.t.Helper()
	_, err := r.db.Revoke(r.t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serialOf(r.t, cert)}, Cause: cause, At: noon,
		Entry: audit.Entry{At: noon, Actor: "admin", Role: "admin"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// running runs a responder until the test ends.
func (r *replica) running() {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); <-ended })
}

// awaitRevoked sends requests until the answer is revoked, and gives the time it took.
func (r *replica) awaitRevoked(cert *x509.Certificate) time.Duration {
	r.t.Helper()
	began := time.Now()
	for {
		if got := r.ask(cert); got.Status == xocsp.Revoked {
			return time.Since(began)
		}
		if time.Since(began) > 2*time.Minute {
			r.t.Fatal("not revoked after two minutes")
		}
	}
}

// TestC5_Records asks a real database about each state that a certificate can have.
func TestC5_Records(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		r := newReplica(t, address)
		good, reserved, revoked, stranger := r.issue(), r.user(), r.issue(), r.user()
		if err := r.enter(t.Context(), reserved, false); err != nil {
			t.Fatal(err)
		}
		r.end(revoked, portal.Lost)
		for name, test := range map[string]struct {
			cert *x509.Certificate
			want int
		}{
			"good": {good, xocsp.Good}, "reserved": {reserved, xocsp.Unknown}, "revoked": {revoked, xocsp.Revoked},
			"stranger": {stranger, xocsp.Unknown}, "signer": {r.Health().Signer, xocsp.Good},
		} {
			if got := r.ask(test.cert); got.Status != test.want {
				t.Errorf("%s: got %d, want %d", name, got.Status, test.want)
			}
		}
		if got := r.ask(revoked); got.RevocationReason != portal.Lost.ReasonCode() || !got.RevokedAt.Equal(noon) {
			t.Errorf("got reason %d at %s", got.RevocationReason, got.RevokedAt)
		}
		// A reservation that is abandoned becomes revoked, without ever being good.
		r.end(reserved, portal.Abandoned)
		r.mustRefresh()
		if got := r.ask(reserved); got.Status != xocsp.Revoked {
			t.Errorf("given up: got %d", got.Status)
		}
	})
}

// TestA12_EveryReplicaSeesIt revokes on one replica: that one answers revoked at once, the
// other one after its next poll, and both after a restart.
func TestA12_EveryReplicaSeesIt(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		here, there := newReplica(t, address), newReplica(t, address)
		here.running()
		there.running()
		for range 3 {
			cert := here.issue()
			here.ask(cert)
			there.ask(cert) // both may have cached good now
			here.end(cert, portal.Lost)
			here.Nudge()
			t.Logf("seen here after %v, there after %v more", here.awaitRevoked(cert), there.awaitRevoked(cert))
			if got := newReplica(t, address).ask(cert); got.Status != xocsp.Revoked || got.RevocationReason != portal.Lost.ReasonCode() {
				t.Errorf("after a restart: got %d, reason %d", got.Status, got.RevocationReason)
			}
		}
	})
}

// TestF5_DatabaseGone stops the database: cached statuses are still served.
func TestF5_DatabaseGone(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		r := newReplica(t, address)
		kept, cold := r.issue(), r.issue()
		r.mustRefresh()
		r.ask(kept)
		if err := r.db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.Refresh(t.Context()); err == nil {
			t.Error("following a closed database works")
		}
		if got := r.ask(kept).Status; got != xocsp.Good {
			t.Errorf("kept: got %d", got)
		}
		wantRefusal(t, "not kept", r.Respond(t.Context(), r.request(cold, crypto.SHA1)), tryLater)
	})
}

// TestA12_RevokedSignerOnRecord revokes a signer as an administrator does.
func TestA12_RevokedSignerOnRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		r := newReplica(t, address)
		signer := r.Health().Signer
		r.mustRefresh()
		r.end(signer, portal.Withdrawn)
		r.mustRefresh()
		if got := r.Health().Signer; got == nil || got.Equal(signer) {
			t.Error("the signer was not replaced")
		}
		if got := r.ask(signer).Status; got != xocsp.Revoked {
			t.Errorf("got %d", got)
		}
	})
}
