package crl

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"certportal/ca"
)

// Authority is a CA whose lists are published.
type Authority struct {
	Name string // "root" or "issuing"

	// Issuer gives the CA with its key, when a list is to be signed. An error that
	// is ca.ErrNoRootKey says that the key is kept elsewhere: the list lives on.
	Issuer func() (*ca.Issuer, error)

	Life  time.Duration // from publication to nextUpdate
	Renew time.Duration // age at which a list is made anew without a revocation; half of Life at most counts

	// DeltaRenew makes delta lists: one at once after a revocation, one at this age.
	// Complete lists are then made by the clock alone. Optional: none by default.
	DeltaRenew time.Duration

	// Freshest are the addresses of the delta list. Required with DeltaRenew.
	Freshest []string
}

// Lives of the root's list: it covers one certificate, and its key may be in a safe.
const (
	RootLife  = 365 * 24 * time.Hour
	RootRenew = 30 * 24 * time.Hour
)

// DefaultLife and DefaultRenew are those of the issuing CA's list. Phones are locked
// out of mail when it runs out, so it is made anew 72 times in its life.
const (
	DefaultLife  = 72 * time.Hour
	DefaultRenew = time.Hour
)

// deltaLives is how many delta lists could fail to be made before one runs out.
const deltaLives = 4

// DeltaSuffix behind the name of an issuer names its delta list, see [Publisher.CRL].
const DeltaSuffix = "-delta"

// Config is what a publisher works with.
type Config struct {
	Store       Store
	Authorities []Authority

	Targets []Target         // optional: where lists are copied to
	Builder string           // optional: who takes turns, different for each process; default random
	Now     func() time.Time // optional; default time.Now
	Log     *slog.Logger     // optional; default slog.Default()
}

// Publisher makes lists when they are due and serves them from memory. Every issuer
// has its own goroutine, and so has every target: the trouble of one stops no other.
type Publisher struct {
	c        Config
	updaters []*updater
	copiers  []*copier
}

// New checks the configuration. Nothing is loaded or signed before Load, Refresh or Run.
func New(c Config) (*Publisher, error) {
	if c.Store == nil || len(c.Authorities) == 0 {
		return nil, errors.New("publisher: a required part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Log = cmp.Or(c.Log, slog.Default())
	c.Builder = cmp.Or(c.Builder, rand.Text())
	p := &Publisher{c: c}
	for _, a := range c.Authorities {
		if a.Life <= a.Renew || a.Renew <= 0 || a.DeltaRenew < 0 || a.Issuer == nil || (a.DeltaRenew > 0) != (len(a.Freshest) > 0) {
			return nil, fmt.Errorf("publisher: authority %s: life %v, renewal %v, delta %v at %v", a.Name, a.Life, a.Renew, a.DeltaRenew, a.Freshest)
		}
		p.updaters = append(p.updaters, newUpdater(p, a))
	}
	for _, t := range c.Targets {
		p.copiers = append(p.copiers, newCopier(p, t))
	}
	return p, nil
}

// CRL gives the list in force of an issuer, or with [DeltaSuffix] behind its name the
// delta list; false when there is none, or no such issuer.
func (p *Publisher) CRL(name string) (List, bool) {
	issuer, delta := strings.CutSuffix(name, DeltaSuffix)
	k := p.updater(issuer)
	if k == nil {
		return List{}, false
	}
	held := k.list(delta)
	if held == nil {
		return List{}, false
	}
	return *held, true
}

// updater finds that of an issuer, nil when there is none.
func (p *Publisher) updater(issuer string) *updater {
	for _, k := range p.updaters {
		if k.a.Name == issuer {
			return k
		}
	}
	return nil
}

// Nudge says that something was revoked. It never blocks.
func (p *Publisher) Nudge() {
	for _, k := range p.updaters {
		signal(k.nudge)
	}
}

// signal wakes whoever waits for the channel, which has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Load reads the newest lists into memory, where they are served from. It makes only
// those that an issuer has none of, so that a start does not wait for a long list.
func (p *Publisher) Load(ctx context.Context) error {
	return p.each(func(k *updater) error {
		err := k.load(ctx)
		if err != nil || k.list(false) != nil {
			return err
		}
		return k.publishDue(ctx)
	})
}

// Refresh loads the lists and makes those that are due, without waiting for more
// revocations. One issuer's trouble does not keep another's list from being made.
// That another builder has the turn is no trouble.
func (p *Publisher) Refresh(ctx context.Context) error {
	return p.each(func(k *updater) error { return k.publishDue(ctx) })
}

func (p *Publisher) each(do func(*updater) error) error {
	var errs []error
	for _, k := range p.updaters {
		if err := do(k); err != nil && !errors.Is(err, ErrBusy) {
			errs = append(errs, fmt.Errorf("list of %s: %w", k.a.Name, err))
		}
	}
	return errors.Join(errs...)
}

// busyPatience is how long PublishNow waits for another builder, who may just make
// the list that is asked for.
const busyPatience = 5 * time.Second

// PublishNow makes the next complete list of an issuer, and its delta list where there
// are such. The error is ErrBusy while another builder has the turn, and
// ca.ErrNoRootKey where the key is kept elsewhere.
func (p *Publisher) PublishNow(ctx context.Context, issuer string) (List, error) {
	k := p.updater(issuer)
	if k == nil {
		return List{}, fmt.Errorf("publishing list: there is no issuer %q", issuer)
	}
	patience, cancel := context.WithTimeout(ctx, busyPatience)
	defer cancel()
	for {
		err := k.publish(ctx, due{complete: true, forced: true})
		if err == nil {
			return *k.list(false), nil
		}
		if !errors.Is(err, ErrBusy) {
			return List{}, fmt.Errorf("publishing list of %s: %w", issuer, err)
		}
		select {
		case <-patience.Done():
			return List{}, fmt.Errorf("publishing list of %s: %w", issuer, err)
		case <-time.After(busyPatience / 25):
		}
	}
}

// warnEvery is how often the clock is compared with the ends of the lists.
const warnEvery = time.Minute

// Run keeps the lists fresh, and copies them to the targets, until the context ends.
func (p *Publisher) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, k := range p.updaters {
		all.Go(func() { k.run(ctx) })
	}
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
