package crl_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store"
)

// fixture is a publisher over a real database and an EC hierarchy, with a clock that the
// test sets.
type fixture struct {
	*crl.Publisher
	t         *testing.T
	db        *store.DB
	hierarchy *ca.Hierarchy
	log       *lines
	change    func(*crl.Config)

	mu       sync.Mutex
	now      time.Time
	rootGone bool
	stuck    chan struct{} // not nil: the issuing key does not answer until it is closed
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// taken gives what was written since the previous call.
func (l *lines) taken() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newFixture(t *testing.T, changes ...func(*crl.Config)) *fixture {
	t.Helper()
	return fixtureAt(t, filepath.Join(t.TempDir(), "portal.db"), changes...)
}

func fixtureAt(t *testing.T, file string, changes ...func(*crl.Config)) *fixture {
	t.Helper()
	o := &fixture{t: t, now: noon, log: &lines{}, db: opened(t, file)}
	o.change = func(c *crl.Config) {
		for _, change := range changes {
			change(c)
		}
	}
	var err error
	o.hierarchy, err = ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, o.now)
	if err != nil {
		t.Fatal(err)
	}
	o.Publisher = o.replica()
	return o
}

func opened(t *testing.T, file string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// replica makes one more publisher over the same database.
func (o *fixture) replica() *crl.Publisher {
	o.t.Helper()
	c := crl.Config{
		Store: o.db, Now: o.clock, Log: slog.New(slog.NewTextHandler(o.log, nil)),
		Authorities: []crl.Authority{
			{Name: "root", Issuer: o.root, Certificate: o.hierarchy.Root, Life: crl.RootLife, Renew: crl.RootRenew},
			{Name: "issuing", Issuer: o.issuing, Certificate: o.hierarchy.Issuing, Life: crl.DefaultLife, Renew: crl.DefaultRenew},
		},
	}
	o.change(&c)
	p, err := crl.New(c)
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

// withDeltas makes delta lists of the issuing CA every quarter of an hour, complete ones
// every six hours.
func withDeltas(c *crl.Config) {
	c.Authorities[1].Renew, c.Authorities[1].DeltaRenew = 6*time.Hour, 15*time.Minute
	c.Authorities[1].Freshest = []string{"http://pki.example/crl/issuing-delta.crl"}
}

func (o *fixture) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *fixture) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

func (o *fixture) root() (*ca.Issuer, error) {
	if o.rootGone {
		return nil, ca.ErrNoRootKey
	}
	return ca.NewIssuer(ca.IssuerConfig{Certificate: o.hierarchy.Root, Signer: o.hierarchy.RootKey})
}

func (o *fixture) issuing() (*ca.Issuer, error) {
	o.mu.Lock()
	stuck := o.stuck
	o.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	return ca.NewIssuer(ca.IssuerConfig{Certificate: o.hierarchy.Issuing, Signer: o.hierarchy.IssuingKey})
}

func (o *fixture) signers() map[string]*x509.Certificate {
	return map[string]*x509.Certificate{"root": o.hierarchy.Root, "issuing": o.hierarchy.Issuing}
}

func (o *fixture) refresh() {
	o.t.Helper()
	if err := o.Refresh(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

func (o *fixture) list(name string) (crl.List, *x509.RevocationList) {
	o.t.Helper()
	l, ok := o.CRL(name)
	if !ok {
		o.t.Fatalf("no list of %s", name)
	}
	parsed, err := x509.ParseRevocationList(l.DER)
	if err != nil {
		o.t.Fatal(err)
	}
	return l, parsed
}

// names reports whether a list contains a serial.
func (o *fixture) names(list string, serial ca.Serial) bool {
	o.t.Helper()
	_, parsed := o.list(list)
	for _, e := range parsed.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(serial.Big()) == 0 {
			return true
		}
	}
	return false
}

// reserve records a certificate of the issuing CA that lives for 90 days.
func (o *fixture) reserve() ca.Serial {
	o.t.Helper()
	serial, err := ca.NewSerial(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	now := o.clock()
	err = o.db.Reserve(context.WithoutCancel(o.t.Context()), enroll.Reservation{
		Serial: serial, Kind: portal.KindServer, Profile: "Server", PublicKey: [32]byte([]byte(serial.String())[:32]),
		NotBefore: now, NotAfter: now.AddDate(0, 0, 90), Requested: now,
		Entry: audit.Entry{At: now, Action: audit.CertificateReserved, Actor: "test"},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return serial
}

func (o *fixture) revoke(serial ca.Serial) ca.Serial {
	o.t.Helper()
	now := o.clock()
	_, err := o.db.Revoke(o.t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Removed, At: now,
		Entry: audit.Entry{At: now, Action: audit.CertificateRevoked, Actor: "test"},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return serial
}

// revokeNew records and revokes a certificate.
func (o *fixture) revokeNew() ca.Serial {
	o.t.Helper()
	return o.revoke(o.reserve())
}
