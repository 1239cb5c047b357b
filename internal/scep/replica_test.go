package scep_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/smallstep/scep"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/scep"
	"certportal/internal/test/testkit"
	"certportal/store"
)

// watched is a store that reports and counts how a server reads RAs, and does not answer while
// away is set.
type watched struct {
	*store.DB
	asked           chan struct{}
	lookUps, loads  atomic.Int32
	decrypted       atomic.Int32
	away, wrongPass atomic.Bool
	hold            chan struct{} // when set, decrypting waits for it
	decrypting      chan struct{}
}

func (w *watched) RA(ctx context.Context, serial ca.Serial, now time.Time) (certificate, key []byte, err error) {
	w.lookUps.Add(1)
	w.asked <- struct{}{}
	if w.away.Load() {
		return nil, nil, errors.New("the database is away")
	}
	return w.DB.RA(ctx, serial, now)
}

func (w *watched) RAs(ctx context.Context, now time.Time, found func(certificate, key []byte) error) error {
	w.loads.Add(1)
	return w.DB.RAs(ctx, now, found)
}

func (w *watched) decrypt(file []byte) (crypto.Signer, error) {
	w.decrypted.Add(1)
	if w.hold != nil {
		w.decrypting <- struct{}{}
		<-w.hold
	}
	if w.wrongPass.Load() {
		return nil, ca.ErrPassphrase
	}
	return decryptKey(file)
}

// replicas returns a replica that has loaded the RAs at this moment, and the certificates of
// an RA that another replica issued after that.
func replicas(h *fixture) (b *scep.Server, w *watched, newer []*x509.Certificate) {
	h.t.Helper()
	w = &watched{DB: h.db, asked: make(chan struct{}, 1000), decrypting: make(chan struct{}, 10)}
	other := h.config
	other.Store, other.Decrypt, other.Issuer = w, w.decrypt, nil
	h.pass(70 * 24 * time.Hour) // the RA is due for renewal
	b = testkit.Must(scep.New(other))(h.t)
	if err := b.Refresh(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	w.lookUps.Store(0)
	w.loads.Store(0)
	w.decrypted.Store(0)
	before := announced(h.t, b)
	newer = announced(h.t, h.replica())
	h.made++
	if newer[0].Equal(before[0]) {
		h.t.Fatal("the other replica issued no RA")
	}
	return b, w, newer
}

// announced returns the certificates of GetCACert.
func announced(t testing.TB, s *scep.Server) []*x509.Certificate {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, scep.Path+"?operation=GetCACert", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GetCACert: status %d", w.Code)
	}
	return testkit.Must(wire.CACerts(w.Body.Bytes()))(t)
}

// enrolTo makes the message of a phone that knows these certificates of GetCACert.
func enrolTo(h *fixture, n int, to []*x509.Certificate) []byte {
	h.t.Helper()
	p, c := newPhone(h.t, n), h.challenge(h.anna)
	return h.messageTo(to, p, wire.PKCSReq, csr(h.t, p.key, c.Secret, x509.CertificateRequest{})).Raw
}

// A phone may send its request to another replica than the one that announced the RA, even in
// the second in which the RA was issued.
func TestReplicaKnowsANewRAAtOnce(t *testing.T) {
	h := newFixture(t)
	b, w, newer := replicas(h)
	foreign := []*x509.Certificate{selfSigned(t, rsaKey(t, 1), big.NewInt(77))}
	if got := statusOf(b, enrolTo(h, 2, foreign)); got != http.StatusOK || h.last().Detail["reason"] != "message-envelope" {
		t.Errorf("status %d of a message to an unknown recipient, last entry %v", got, h.last().Detail)
	}
	for n := range 2 {
		if got := statusOf(b, enrolTo(h, n, newer)); got != http.StatusOK || h.serials() != n+1 {
			t.Errorf("phone %d: status %d, %d serials, last entry %v", n, got, h.serials(), h.last().Detail)
		}
	}
	if got := announced(t, b); !got[0].Equal(newer[0]) {
		t.Error("the newest RA is not announced")
	}
	if got := w.decrypted.Load(); got != 1 {
		t.Errorf("%d keys decrypted, want 1", got)
	}
}

// A second phone waits while the key is decrypted for the first one.
func TestReplicaDecryptsForAllWhoWait(t *testing.T) {
	h := newFixture(t)
	b, w, newer := replicas(h)
	messages := [][]byte{enrolTo(h, 0, newer), enrolTo(h, 1, newer)}
	gone := enrolTo(h, 2, newer)
	h.pass(time.Minute)
	w.hold = make(chan struct{})
	release := sync.OnceFunc(func() { close(w.hold) })
	defer release()
	answers := make(chan int, len(messages))
	for _, m := range messages {
		go func() { answers <- statusOf(b, m) }()
	}
	for _, step := range []chan struct{}{w.decrypting, w.asked, w.asked} { // both look the RA up; one of them decrypts
		select {
		case <-step:
		case got := <-answers:
			t.Fatalf("status %d before the key is decrypted", got)
		}
	}
	// A client that leaves does not wait.
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan int, 1)
	go func() { left <- statusWithin(ctx, b, gone) }()
	<-w.asked
	cancel()
	if got := <-left; got == http.StatusOK {
		t.Error("an answer after the client left")
	}
	release()
	for range messages {
		if got := <-answers; got != http.StatusOK {
			t.Errorf("status %d", got)
		}
	}
	if h.serials() != 2 || h.count(audit.EnrolmentRefused) != 0 {
		t.Errorf("%d serials and %d refusals, want 2 and 0", h.serials(), h.count(audit.EnrolmentRefused))
	}
	if got := w.decrypted.Load(); got != 1 {
		t.Errorf("%d keys decrypted, want 1", got)
	}
}

// While the store does not answer, a phone is asked to try again, and the next one is served.
func TestReplicaTriesAgainAfterAnOutage(t *testing.T) {
	h := newFixture(t)
	b, w, newer := replicas(h)
	m := enrolTo(h, 0, newer)
	w.away.Store(true)
	if got := statusOf(b, m); got != http.StatusServiceUnavailable {
		t.Errorf("status %d while the store is away, want %d", got, http.StatusServiceUnavailable)
	}
	if got := h.count(audit.EnrolmentRefused); got != 0 {
		t.Errorf("%d refusals recorded", got)
	}
	w.away.Store(false)
	if got := statusOf(b, m); got != http.StatusOK || h.serials() != 1 {
		t.Errorf("status %d and %d serials afterwards", got, h.serials())
	}
}

// A flood makes a replica load nothing, and decrypt no key twice.
func TestA17_FloodOfUnknownRecipients(t *testing.T) {
	h := newFixture(t)
	b, w, newer := replicas(h)
	unknown := *newer[0] // the names of the portal
	unknown.SerialNumber = new(big.Int).Add(newer[0].SerialNumber, big.NewInt(1))
	foreign := enrolTo(h, 0, []*x509.Certificate{&unknown})
	known := enrolTo(h, 1, newer)
	w.wrongPass.Store(true)
	const flood = 20
	for range flood {
		if got := statusOf(b, foreign); got != http.StatusOK {
			t.Fatalf("status %d for an unknown recipient, want a SCEP response", got)
		}
		if got := statusOf(b, known); got != http.StatusServiceUnavailable {
			t.Fatalf("status %d for an RA whose key is not decrypted here, want %d", got, http.StatusServiceUnavailable)
		}
	}
	if got := h.count(audit.EnrolmentRefused); got != flood {
		t.Errorf("%d refusals recorded, want %d: those of the unknown recipient", got, flood)
	}
	if loads, keys := w.loads.Load(), w.decrypted.Load(); loads != 0 || keys != 1 {
		t.Errorf("%d loads and %d keys, want 0 and 1", loads, keys)
	}
	if got := w.lookUps.Load(); got != 2*flood {
		t.Errorf("%d look-ups for %d messages", got, 2*flood)
	}
	// The key is tried again later.
	w.wrongPass.Store(false)
	h.pass(time.Hour)
	if got := statusOf(b, enrolTo(h, 2, newer)); got != http.StatusOK || h.serials() != 1 {
		t.Errorf("status %d and %d serials afterwards", got, h.serials())
	}
}

// A revoked RA is dropped by every replica at its next reload, and one of them issues another.
func TestA15_RevokedRAIsReplaced(t *testing.T) {
	h := newFixture(t)
	one, two := h.replica(), h.replica()
	before := announced(t, one)
	if err := errors.Join(one.Reload(t.Context()), two.Reload(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := announced(t, two); !got[0].Equal(before[0]) || h.serials() != 0 {
		t.Fatalf("%d RAs issued by reloads, want none", h.serials())
	}
	_, err := h.db.Revoke(t.Context(), enroll.Revocation{
		Serials: []ca.Serial{testkit.Must(ca.SerialOf(before[0].SerialNumber))(t)}, Cause: portal.Withdrawn, At: h.now(),
		Entry: audit.Entry{At: h.now(), Actor: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Reload(t.Context()), two.Reload(t.Context())); err != nil {
		t.Fatal(err)
	}
	after := announced(t, one)
	if after[0].Equal(before[0]) || !after[0].Equal(announced(t, two)[0]) || h.serials() != 1 {
		t.Errorf("%d RAs issued for the replicas, want 1", h.serials())
	}
	h.made++
	for n, s := range []*scep.Server{one, two} {
		if got := statusOf(s, enrolTo(h, n, before)); got != http.StatusOK || h.serials() != 0 || h.last().Detail["reason"] != "message-envelope" {
			t.Errorf("status %d, %d serials and %v for a message to the revoked RA", got, h.serials(), h.last().Detail)
		}
	}
}
