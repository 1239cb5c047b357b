// Package autotls obtains the TLS certificate of the portal by ACME (RFC 8555), with the
// challenge http-01 alone, and renews it when a third of its life is left.
//
// Replicas share one certificate and the answers to challenges through the store: one of them
// orders at a time, any of them answers. Each keeps a copy in its own folder, so that it starts
// without the store, and has an account of its own at the server.
//
// A certificate stays in use until its end, also while renewals fail. Failures are recorded in words for
// an operator, and all replicas wait before the next order: servers limit how often one may fail.
package autotls

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Config holds the settings and dependencies of a Manager. Fields are required unless they
// say otherwise.
type Config struct {
	Directory string   // address of the server's directory
	Contacts  []string // mail addresses for the account. Optional
	Names     []string // DNS names of the certificate, the first is its common one

	// AccountID and AccountKey bind the account to one that the company has at the server
	// (RFC 8555 section 7.3.4). Optional.
	AccountID  string
	AccountKey []byte

	// Roots sign the server's TLS certificate. Optional: those of this machine.
	Roots *x509.CertPool

	// Folder is where this replica keeps its account key and its copy of the certificate.
	Folder string

	Store  Store
	Secret portal.Secret // encrypts the key for the other replicas
	Holder string        // names this replica among those that share the store
	Agent  string        // name and version of the program, for the server

	// Hold gives the reason why nothing must be ordered at the moment. Optional.
	Hold func() error

	// Changed is called when another certificate came into use. Optional.
	Changed func()

	Now func() time.Time
	Log *slog.Logger
}

// Store is what the replicas share. Errors other than those named are outages.
type Store interface {
	// ACMERecord reads the record of a certificate; the zero Record before the first order.
	ACMERecord(ctx context.Context, id string) (Record, error)

	// LeaseACME lets holder order until the lease ends, which it sets. ErrBusy says that
	// another replica orders, or must wait after a failure.
	LeaseACME(ctx context.Context, id, holder string, now, until time.Time) error

	// KeepACME records a new certificate, forgets the failures and ends the lease.
	KeepACME(ctx context.Context, id, holder string, c Sealed, entry audit.Entry) error

	// FailACME records a failure and ends the lease.
	FailACME(ctx context.Context, id, holder string, f Failure) error

	// AddHTTPChallenge lets all replicas answer a token until it expires.
	AddHTTPChallenge(ctx context.Context, token, answer string, expires time.Time) error

	// EndHTTPChallenge takes that back.
	EndHTTPChallenge(ctx context.Context, token string) error
}

// ErrBusy says that another replica orders.
var ErrBusy = errors.New("another replica orders a certificate")

// Sealed is a certificate as the store keeps it.
type Sealed struct {
	Chain []byte // PEM
	Key   []byte // encrypted
}

// Failure is why the last order came to nothing.
type Failure struct {
	Since time.Time // the first of several; zero for none
	Text  string    // for an operator
	Tries int
	Again time.Time // no replica orders before
}

// Record is what the store holds of a certificate.
type Record struct {
	Sealed
	Failure
}

// State is the certificate in use, and how the orders go.
type State struct {
	Directory   string
	Names       []string
	Certificate *x509.Certificate // nil while none can be used
	Failure     Failure
}

// Manager holds the certificate in use.
type Manager struct {
	c       Config
	id      string
	looking sync.Mutex
	current atomic.Pointer[tls.Certificate]
	held    string // the reason that was logged last
	ignored string // the same, for a certificate of the store
}

// lookEvery is how often a replica looks whether there is a certificate of another one, or
// whether it must order.
const lookEvery = time.Minute

// New reads the copy in the folder. A copy that cannot be used is as good as none.
func New(c Config) *Manager {
	m := &Manager{c: c, id: ID(c.Directory, c.Names)}
	pair, err := readPair(m.file())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		c.Log.Warn("reading the TLS certificate by ACME, which is ordered again", "err", err)
	case covers(pair.Leaf, c.Names):
		m.current.Store(pair)
	}
	return m
}

// ID is the name of a certificate in the store: replicas with other settings have another one.
func ID(directory string, names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	sum := sha256.Sum256([]byte(directory + "\n" + strings.Join(sorted, "\n")))
	return hex.EncodeToString(sum[:16])
}

// File is where a replica keeps its copy of the certificate, with the key.
func File(folder string) string { return filepath.Join(folder, "acme.pem") }

func (m *Manager) file() string { return File(m.c.Folder) }

// Certificate is the one in use; nil before the first, and when it has ended.
func (m *Manager) Certificate() *tls.Certificate {
	pair := m.current.Load()
	if pair == nil || !validAt(pair.Leaf, m.c.Now()) {
		return nil
	}
	return pair
}

// mustOrder reports whether there is no certificate in use, or one that must be renewed.
func (m *Manager) mustOrder() bool {
	pair := m.Certificate()
	return pair == nil || Due(pair.Leaf, m.c.Now())
}

// State says what is in use and how the orders go.
func (m *Manager) State(ctx context.Context) (State, error) {
	s := State{Directory: m.c.Directory, Names: m.c.Names}
	if pair := m.Certificate(); pair != nil {
		s.Certificate = pair.Leaf
	}
	r, err := m.c.Store.ACMERecord(ctx, m.id)
	s.Failure = r.Failure
	return s, err
}

// Run looks now and every minute until the context ends.
func (m *Manager) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if err := m.Look(ctx); err != nil && ctx.Err() == nil {
			m.c.Log.Error("TLS certificate by ACME", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Look takes over the certificate of another replica, and orders one when it is due. A good
// certificate in use that the store does not hold is recorded there again, and not ordered. A
// failure of either is recorded; the error is one of the store, or that failure.
func (m *Manager) Look(ctx context.Context) error {
	m.looking.Lock()
	defer m.looking.Unlock()
	r, err := m.c.Store.ACMERecord(ctx, m.id)
	if err != nil {
		return err
	}
	recorded := m.takeOver(r.Sealed)
	now := m.c.Now()
	if recorded && !m.mustOrder() || now.Before(r.Again) && r.Again.Sub(now) <= LongestWait {
		return nil
	}
	if m.holds() {
		return nil
	}
	until := now.Add(orderWithin + time.Minute)
	if err := m.c.Store.LeaseACME(ctx, m.id, m.c.Holder, now, until); err != nil {
		if errors.Is(err, ErrBusy) {
			return nil
		}
		return err
	}
	return m.underLease(ctx)
}

// underLease orders or records the certificate, unless another replica did between the look at
// the record and the lease.
func (m *Manager) underLease(ctx context.Context) error {
	r, err := m.c.Store.ACMERecord(ctx, m.id)
	if err != nil {
		return err // the lease ends by itself
	}
	recorded := m.takeOver(r.Sealed)
	record, done := outlive(ctx, stopWithin)
	defer done()
	switch {
	case m.mustOrder():
		return m.order(ctx, record, r.Failure)
	case recorded:
		return m.c.Store.FailACME(ctx, m.id, m.c.Holder, r.Failure)
	}
	return m.keep(record, r.Failure, m.current.Load())
}

// holds reports whether nothing must be ordered, and logs why once.
func (m *Manager) holds() bool {
	text := ""
	if m.c.Hold != nil {
		if err := m.c.Hold(); err != nil {
			text = err.Error()
		}
	}
	if text != m.held && text != "" {
		m.c.Log.Warn("no TLS certificate is ordered for now", "why", text)
	}
	m.held = text
	return text != ""
}

// takeOver brings the certificate of the store into use, unless the one in use is better. It
// reports whether the store holds the one in use.
func (m *Manager) takeOver(s Sealed) bool {
	if s.Chain == nil {
		return false
	}
	current := m.current.Load()
	if current != nil && samePEM(s.Chain, current) {
		return true
	}
	pair, err := m.open(s)
	if err == nil {
		err = prefer(pair, current, m.c.Now())
	}
	if err != nil {
		if err.Error() != m.ignored {
			m.c.Log.Warn("the TLS certificate in the database is not used", "why", err)
		}
		m.ignored = err.Error()
		return false
	}
	m.ignored = ""
	if err := m.use(pair); err != nil {
		m.c.Log.Error("keeping a copy of the TLS certificate", "err", err)
	}
	return true
}

// use serves a certificate and writes it to the folder.
func (m *Manager) use(pair *tls.Certificate) error {
	m.current.Store(pair)
	if m.c.Changed != nil {
		m.c.Changed()
	}
	return writePair(m.file(), pair)
}
