package ocsp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
)

// noon is the time at which every test begins.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is the clock of one test, advanced by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func (c *clock) pass(d time.Duration) { c.set(c.Now().Add(d)) }

// journal collects the log.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) lines() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Count(j.b.Bytes(), []byte("\n"))
}

// book is a store in memory: an audit log and the resulting statuses. Tests use it to act
// between two statements of the store.
type book struct {
	mu       sync.Mutex
	entries  []ca.Serial
	statuses map[ca.Serial]ocsp.Status
	broken   error
	reads    int
	meddle   func() // called after a status was read, before it is returned
	noted    []ocsp.Asked
}

func newBook() *book { return &book{statuses: map[ca.Serial]ocsp.Status{}} }

func (b *book) write(serial ca.Serial, status ocsp.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.statuses[serial] = status
	b.entries = append(b.entries, serial)
}

func (b *book) breakDown(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

// restore truncates the audit log to a number of entries, and sets the status of a serial.
func (b *book) restore(entries int, serial ca.Serial, status ocsp.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = b.entries[:entries]
	b.statuses[serial] = status
}

func (b *book) Status(_ context.Context, serial ca.Serial) (ocsp.Status, error) {
	b.mu.Lock()
	b.reads++
	status, err, meddle := b.statuses[serial], b.broken, b.meddle
	b.mu.Unlock()
	if meddle != nil {
		meddle()
	}
	return status, err
}

func (b *book) Changes(_ context.Context, after int64, limit int) ([]ca.Serial, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil, 0, b.broken
	}
	if int(after) > len(b.entries) {
		return nil, 0, fmt.Errorf("entry %d: %w", after, ocsp.ErrRewound)
	}
	through := min(int(after)+limit, len(b.entries))
	return b.entries[after:through], int64(through), nil
}

func (b *book) Head(context.Context) (audit.Head, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return audit.Head{Seq: int64(len(b.entries))}, b.broken
}

func (b *book) NoteAsked(_ context.Context, asked []ocsp.Asked) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return b.broken
	}
	b.noted = append(b.noted, asked...)
	return nil
}

func (b *book) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads
}

// bench is a CA, its store and a responder.
type bench struct {
	t      testing.TB
	clock  *clock
	book   *book
	log    *journal
	h      *ca.Hierarchy
	issuer *ca.Issuer
	sealed error // why no signer is made
	*ocsp.Responder
}

// hierarchies are made once, because RSA keys take long.
var hierarchies = map[ca.KeyKind]func() (*ca.Hierarchy, error){
	ca.ECP256:  sync.OnceValues(func() (*ca.Hierarchy, error) { return hierarchy(ca.ECP256, noon) }),
	ca.RSA2048: sync.OnceValues(func() (*ca.Hierarchy, error) { return hierarchy(ca.RSA2048, noon) }),
}

func hierarchy(kind ca.KeyKind, now time.Time) (*ca.Hierarchy, error) {
	return ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: kind, IssuingKind: kind}, now)
}

// newBench makes a bench with a ready responder, after changes to its configuration.
func newBench(t testing.TB, kind ca.KeyKind, change ...func(*ocsp.Config)) *bench {
	t.Helper()
	h, err := hierarchies[kind]()
	if err != nil {
		t.Fatal(err)
	}
	b := newCA(t, h, noon)
	b.start(change...)
	return b
}

func newCA(t testing.TB, h *ca.Hierarchy, now time.Time) *bench {
	t.Helper()
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey, Publication: ca.Publication{
		CRLURLs: []string{"http://pki.example.com/crl/issuing.crl"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, clock: &clock{now: now}, log: &journal{}, h: h, issuer: issuer}
}

// start makes the responder of the bench, over a store in memory.
func (b *bench) start(change ...func(*ocsp.Config)) {
	b.t.Helper()
	b.book = newBook()
	b.Responder = b.responder(b.book, change...)
	b.mustRefresh()
}

// responder makes a responder over a store, with the clock and the CA of the bench.
func (b *bench) responder(records ocsp.Store, change ...func(*ocsp.Config)) *ocsp.Responder {
	b.t.Helper()
	c := ocsp.Config{
		Store: records, Issuing: b.h.Issuing, Certify: b.certify, Now: b.clock.Now,
		Log: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	r, err := ocsp.New(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) certify(_ context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
	if b.sealed != nil {
		return nil, b.sealed
	}
	p, err := b.issuer.PrepareOwn(ca.ResponderConfig{Name: "Certificate status"}, key, b.clock.Now())
	if err != nil {
		return nil, err
	}
	return b.issuer.Sign(p)
}

// user issues a User certificate.
func (b *bench) user() *x509.Certificate {
	b.t.Helper()
	profile, err := ca.NewProfile(ca.ProfileConfig{Name: "User"})
	if err != nil {
		b.t.Fatal(err)
	}
	key, err := ca.ECP256.Generate()
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := b.issuer.Prepare(profile, ca.Subject{UPN: "anna@example.com"}, key.Public(), b.clock.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	cert, err := b.issuer.Sign(p)
	if err != nil {
		b.t.Fatal(err)
	}
	return cert
}

// issued issues a User certificate and records it as good.
func (b *bench) issued() *x509.Certificate {
	b.t.Helper()
	cert := b.user()
	b.book.write(serialOf(b.t, cert), ocsp.Status{State: ocsp.Good})
	b.mustRefresh()
	return cert
}

func (b *bench) revoke(cert *x509.Certificate, reason int) {
	b.book.write(serialOf(b.t, cert), ocsp.Status{State: ocsp.Revoked, At: b.clock.Now(), Reason: reason})
}

func (b *bench) mustRefresh() {
	b.t.Helper()
	if err := b.Refresh(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// ask sends a request for one certificate, made by golang.org/x/crypto/ocsp.
func (b *bench) ask(cert *x509.Certificate) *xocsp.Response {
	b.t.Helper()
	return b.read(b.Respond(b.t.Context(), b.request(cert, crypto.SHA1)).DER, cert)
}

func (b *bench) request(cert *x509.Certificate, hash crypto.Hash) []byte {
	b.t.Helper()
	raw, err := xocsp.CreateRequest(cert, b.h.Issuing, &xocsp.RequestOptions{Hash: hash})
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

// read parses an answer and verifies its signature.
func (b *bench) read(raw []byte, cert *x509.Certificate) *xocsp.Response {
	b.t.Helper()
	got, err := xocsp.ParseResponseForCert(raw, cert, b.h.Issuing)
	if err != nil {
		b.t.Fatalf("reading answer %x: %v", raw, err)
	}
	return got
}

func serialOf(t testing.TB, cert *x509.Certificate) ca.Serial {
	t.Helper()
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	return serial
}

// The error responses in DER.
const (
	malformed    = "\x30\x03\x0a\x01\x01"
	tryLater     = "\x30\x03\x0a\x01\x03"
	unauthorized = "\x30\x03\x0a\x01\x06"
)

func wantRefusal(t testing.TB, what string, got ocsp.Answer, want string) {
	t.Helper()
	if string(got.DER) != want || !got.ThisUpdate.IsZero() || !got.NextUpdate.IsZero() {
		t.Errorf("%s: got %x until %s, want %x", what, got.DER, got.NextUpdate, want)
	}
}

// program finds another program whose result a test compares.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: %v", name, err)
	}
	t.Skipf("%s is not installed: its opinion is not asked", name)
	return ""
}

func run(t testing.TB, program string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}

func file(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var errDown = errors.New("the database does not answer")
