package crl

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"certportal/ca"
)

// Authority is a CA whose lists are published.
type Authority struct {
	Name string // "root" for the own root, or that of an issuing CA: "issuing", "issuing-2"

	// Issuer gives the CA with its key, when a list is to be signed. The error
	// ca.ErrNoRootKey means that the key is kept offline: the last list stays in force.
	Issuer func() (*ca.Issuer, error)

	Life  time.Duration // from publication to nextUpdate
	Renew time.Duration // age at which a list is renewed without a revocation; capped at half of Life

	// DeltaRenew enables delta lists: a new one after each revocation and at this age.
	// Complete lists are then made on schedule only. Optional: none by default.
	DeltaRenew time.Duration

	// Freshest are the addresses of the delta list. Required with DeltaRenew.
	Freshest []string

	// Certificate verifies the lists that the store returns, so that one that a disk changed
	// is replaced and not served. Optional.
	Certificate *x509.Certificate

	// Until is the end of the CA: from then on no list is made, and none is missed, as all
	// its certificates have ended. Optional.
	Until time.Time
}

// check checks what is configured for an authority.
func (a Authority) check() error {
	if a.Life <= a.Renew || a.Renew <= 0 || a.DeltaRenew < 0 || a.Issuer == nil || (a.DeltaRenew > 0) != (len(a.Freshest) > 0) {
		return fmt.Errorf("publisher: authority %s: life %v, renewal %v, delta %v at %v", a.Name, a.Life, a.Renew, a.DeltaRenew, a.Freshest)
	}
	return nil
}

// RootLife and RootRenew are those of the root's list, which covers one certificate. They
// are long because the root key may be kept offline.
const (
	RootLife  = 365 * 24 * time.Hour
	RootRenew = 30 * 24 * time.Hour
)

// DefaultLife and DefaultRenew are those of the issuing CA's list. Phones lose access to
// mail when it expires, so it is renewed 72 times in its life.
const (
	DefaultLife  = 72 * time.Hour
	DefaultRenew = time.Hour
)

// deltaLives is the life of a delta list in units of DeltaRenew: so many builds in a row
// must fail before it expires.
const deltaLives = 4

// DeltaSuffix is appended to the name of an issuer to name its delta list, see
// [Publisher.CRL].
const DeltaSuffix = "-delta"

// Config configures a Publisher.
type Config struct {
	Store       Store
	Authorities []Authority

	Targets []Target         // optional: where lists are copied to
	Builder string           // optional: holder of leases, different for each process; default random
	Now     func() time.Time // optional; default time.Now
	Log     *slog.Logger     // optional; default slog.Default()

	// Patience is how long PublishNow waits for another builder to end its lease. Optional;
	// the default suits a page that a person waits for.
	Patience time.Duration
}

// PatienceWithTheDead is a Patience that outlasts the lease of a builder that died.
const PatienceWithTheDead = 2 * leastLease

// defaultPatience is the Patience of a page, and with the lock of a folder.
const defaultPatience = 5 * time.Second

// Publisher makes lists when they are due and serves them from memory. Every issuer and
// every target has its own goroutine, so that the failure of one does not stop another.
type Publisher struct {
	c       Config
	copiers []*copier

	known atomic.Pointer[[]*updater]

	mu      sync.Mutex
	running context.Context // of Run; nil before
	stop    map[*updater]context.CancelFunc
	clocks  sync.WaitGroup
}

// updaters gives the updaters of all issuers.
func (p *Publisher) updaters() []*updater { return *p.known.Load() }

// New checks the configuration. Load, Refresh and Run load and sign lists; New does not.
func New(c Config) (*Publisher, error) {
	if c.Store == nil || len(c.Authorities) == 0 {
		return nil, errors.New("publisher: a required part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Log = cmp.Or(c.Log, slog.Default())
	c.Builder = cmp.Or(c.Builder, rand.Text())
	c.Patience = cmp.Or(c.Patience, defaultPatience)
	p := &Publisher{c: c, stop: make(map[*updater]context.CancelFunc)}
	p.known.Store(new([]*updater))
	for _, a := range c.Authorities {
		if err := p.Add(a); err != nil {
			return nil, err
		}
	}
	for _, t := range c.Targets {
		p.copiers = append(p.copiers, newCopier(p, t))
	}
	return p, nil
}

// Add adds an authority, in place of one with the same name, whose lists stay in force. If
// the publisher runs, lists of the new one are made too.
func (p *Publisher) Add(a Authority) error {
	if err := a.check(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	added := newUpdater(p, a)
	var all []*updater
	for _, u := range p.updaters() {
		if u.a.Name != a.Name {
			all = append(all, u)
			continue
		}
		if stop := p.stop[u]; stop != nil {
			stop()
			delete(p.stop, u)
		}
		added.complete.Store(u.complete.Load())
		added.delta.Store(u.delta.Load())
	}
	all = append(all, added)
	p.known.Store(&all)
	if p.running != nil {
		p.run(added)
	}
	return nil
}

// Has reports whether lists of an issuer are made.
func (p *Publisher) Has(issuer string) bool { return p.updater(issuer) != nil }

// run starts the clock of an updater.
func (p *Publisher) run(u *updater) {
	ctx, stop := context.WithCancel(p.running)
	p.stop[u] = stop
	p.clocks.Go(func() { u.run(ctx) })
}

// CRL gives the list in force of an issuer, or with [DeltaSuffix] after its name the
// delta list; false when there is no list or no such issuer.
func (p *Publisher) CRL(name string) (List, bool) {
	issuer, delta := strings.CutSuffix(name, DeltaSuffix)
	u := p.updater(issuer)
	if u == nil {
		return List{}, false
	}
	held := u.list(delta)
	if held == nil {
		return List{}, false
	}
	return *held, true
}

// updater finds the updater of an issuer, nil when there is none.
func (p *Publisher) updater(issuer string) *updater {
	for _, u := range p.updaters() {
		if u.a.Name == issuer {
			return u
		}
	}
	return nil
}

// Nudge wakes the updaters after a revocation. It never blocks.
func (p *Publisher) Nudge() {
	for _, u := range p.updaters() {
		signal(u.nudge)
	}
}

// signal wakes the goroutine that receives from c, which has a buffer of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Load reads the newest lists into memory. It makes a list only for an issuer that has
// none, so that the start does not wait for a long list.
func (p *Publisher) Load(ctx context.Context) error {
	return p.each(func(u *updater) error {
		err := u.load(ctx)
		if err != nil || u.list(false) != nil {
			return err
		}
		return u.publishDue(ctx)
	})
}

// Read reads the newest lists into memory and makes none.
func (p *Publisher) Read(ctx context.Context) error {
	return p.each(func(u *updater) error { return u.load(ctx) })
}

// Refresh loads the lists and makes those that are due, without waiting for more
// revocations. An error of one issuer does not stop the others. It is no error when
// another builder holds the lease.
func (p *Publisher) Refresh(ctx context.Context) error {
	return p.each(func(u *updater) error { return u.publishDue(ctx) })
}

func (p *Publisher) each(do func(*updater) error) error {
	var errs []error
	for _, u := range p.updaters() {
		if err := do(u); err != nil && !errors.Is(err, ErrBusy) {
			errs = append(errs, fmt.Errorf("list of %s: %w", u.a.Name, err))
		}
	}
	return errors.Join(errs...)
}

// busyEvery is how often PublishNow tries to take the lease of another builder.
const busyEvery = 200 * time.Millisecond

// PublishNow makes the next complete list of an issuer, and its delta list if enabled.
// It waits for another builder as long as Config.Patience says; the error is ErrBusy when
// that one still holds the lease, and ca.ErrNoRootKey when the key is kept offline.
func (p *Publisher) PublishNow(ctx context.Context, issuer string) (List, error) {
	u := p.updater(issuer)
	if u == nil {
		return List{}, fmt.Errorf("publishing list: there is no issuer %q", issuer)
	}
	patience, cancel := context.WithTimeout(ctx, p.c.Patience)
	defer cancel()
	for {
		err := u.publish(ctx, due{complete: true, forced: true})
		if err == nil {
			return *u.list(false), nil
		}
		if !errors.Is(err, ErrBusy) {
			return List{}, fmt.Errorf("publishing list of %s: %w", issuer, err)
		}
		select {
		case <-patience.Done():
			return List{}, fmt.Errorf("publishing list of %s: %w", issuer, err)
		case <-time.After(busyEvery):
		}
	}
}

// warnEvery is how often Run calls Warn.
const warnEvery = time.Minute

// Run renews the lists and copies them to the targets until the context ends.
func (p *Publisher) Run(ctx context.Context) {
	p.mu.Lock()
	p.running = ctx
	for _, u := range p.updaters() {
		p.run(u)
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running = nil
		p.mu.Unlock()
		p.clocks.Wait()
	}()
	var all sync.WaitGroup
	for _, c := range p.copiers {
		all.Go(func() { c.run(ctx) })
	}
	all.Go(func() {
		ticker := time.NewTicker(warnEvery)
		defer ticker.Stop()
		for {
			p.Warn()
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	all.Wait()
}
