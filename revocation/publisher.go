package revocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"certportal/ca"
)

// Authority is a CA whose list is published.
type Authority struct {
	Name string // "root" or "issuing"

	// Issuer gives the CA with its key, when a list is to be signed. An error that
	// is ca.ErrNoRootKey says that the key is kept elsewhere: the list lives on.
	Issuer func() (*ca.Issuer, error)

	Life  time.Duration // from thisUpdate to nextUpdate
	Renew time.Duration // age at which a list is made anew without a revocation
}

// Lives of the lists. Phones are locked out of mail when the issuing CA's list
// runs out, so it is made anew 72 times in its life. The root's list covers one
// certificate, and its key may be in a safe.
const (
	IssuingLife  = 72 * time.Hour
	IssuingRenew = time.Hour
	RootLife     = 365 * 24 * time.Hour
	RootRenew    = 30 * 24 * time.Hour
)

// backdate allows for clocks that are behind (as the certificates are).
const backdate = 5 * time.Minute

// tick is how often the publisher looks whether something is due; a revocation
// on another replica shows in the list after this time at the latest.
const tick = 15 * time.Second

// Config is what a publisher works with; Now and Log are optional.
type Config struct {
	Lists       Lists
	Authorities []Authority
	Now         func() time.Time // default time.Now
	Log         *slog.Logger     // default slog.Default()
}

// Publisher makes lists when they are due and serves them from memory.
type Publisher struct {
	c       Config
	current map[string]*atomic.Pointer[List]
	nudge   chan struct{}
	said    map[string]time.Time // when a complaint was last logged; of the one goroutine that refreshes
}

// New checks the configuration. Nothing is loaded or signed before Refresh.
func New(c Config) (*Publisher, error) {
	if c.Lists == nil || len(c.Authorities) == 0 {
		return nil, errors.New("publisher: a required part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	p := &Publisher{c: c, current: map[string]*atomic.Pointer[List]{}, nudge: make(chan struct{}, 1), said: map[string]time.Time{}}
	for _, a := range c.Authorities {
		if a.Life <= a.Renew || a.Renew <= 0 || a.Issuer == nil {
			return nil, fmt.Errorf("publisher: authority %s: life %v, renewal %v", a.Name, a.Life, a.Renew)
		}
		p.current[a.Name] = new(atomic.Pointer[List])
	}
	return p, nil
}

// CRL gives the list in force of an issuer; false when there is none, or no such
// issuer.
func (p *Publisher) CRL(name string) (List, bool) {
	held, ok := p.current[name]
	if !ok || held.Load() == nil {
		return List{}, false
	}
	return *held.Load(), true
}

// Nudge asks for a look at once. It never blocks.
func (p *Publisher) Nudge() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}

// Run keeps the lists fresh until the context ends.
func (p *Publisher) Run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if err := p.Refresh(ctx); err != nil && ctx.Err() == nil && p.unsaid(withoutDigits(err.Error()), time.Hour) {
			p.c.Log.Error("publishing revocation lists", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-p.nudge:
		}
	}
}

// Refresh loads the lists and makes those that are due. One issuer's trouble
// does not keep another's list from being made.
func (p *Publisher) Refresh(ctx context.Context) error {
	var errs []error
	for _, a := range p.c.Authorities {
		if err := p.refresh(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("list of %s: %w", a.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) refresh(ctx context.Context, a Authority) error {
	latest, ok, err := p.c.Lists.Latest(ctx, a.Name)
	if err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	if ok {
		p.current[a.Name].Store(&latest)
	}
	due, err := p.due(ctx, a, latest, ok)
	if err != nil || !due {
		return err
	}
	issuer, err := a.Issuer()
	if errors.Is(err, ca.ErrNoRootKey) && ok {
		p.warnOfEnd(a, latest)
		return nil
	}
	if err != nil {
		return fmt.Errorf("unlocking: %w", err)
	}
	return p.Publish(ctx, a, issuer)
}

// Publish makes the next list now.
func (p *Publisher) Publish(ctx context.Context, a Authority, issuer *ca.Issuer) error {
	now := p.c.Now().UTC().Truncate(time.Second)
	list, err := p.c.Lists.Publish(ctx, a.Name, now, func(number int64, revoked []ca.Revocation) (List, error) {
		l := List{
			Issuer: a.Name, Number: number,
			ThisUpdate: now.Add(-backdate), NextUpdate: now.Add(a.Life),
		}
		// What was revoked a moment ago would be dated after the list itself.
		for i := range revoked {
			if revoked[i].At.After(l.ThisUpdate) {
				revoked[i].At = l.ThisUpdate
			}
		}
		var err error
		l.DER, err = issuer.CRL(ca.CRLConfig{
			Number: big.NewInt(number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Revoked: revoked,
		})
		return l, err
	})
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	p.current[a.Name].Store(&list)
	p.c.Log.Info("revocation list published", "issuer", a.Name, "number", list.Number, "next", list.NextUpdate)
	return nil
}

// unsaid reports whether a complaint was not logged within the time before, and
// takes it as logged: the clock looks every few seconds, and so would the log.
func (p *Publisher) unsaid(complaint string, within time.Duration) bool {
	now := p.c.Now()
	if last, ok := p.said[complaint]; ok && now.Sub(last) < within && !now.Before(last) {
		return false
	}
	p.said[complaint] = now
	return true
}

// withoutDigits makes one complaint of those that differ in a time or a number.
func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}

// due reports whether a new list must be made: there is none, it is old, or
// something was revoked since it was made.
func (p *Publisher) due(ctx context.Context, a Authority, latest List, ok bool) (bool, error) {
	if !ok {
		return true, nil
	}
	made := latest.ThisUpdate.Add(backdate)
	now := p.c.Now()
	if now.Before(latest.ThisUpdate) {
		// thisUpdate must never go back: what was revoked would open doors again.
		return false, fmt.Errorf("the clock says %s, before the last list of %s: check the clock",
			now.UTC().Format(time.RFC3339), made.Format(time.RFC3339))
	}
	if now.Sub(made) >= a.Renew {
		return true, nil
	}
	revoked, err := p.c.Lists.Unlisted(ctx, a.Name)
	if err != nil {
		return false, fmt.Errorf("looking for revocations: %w", err)
	}
	return revoked, nil
}

// warnOfEnd reminds of a list that only the key in the safe can renew.
func (p *Publisher) warnOfEnd(a Authority, latest List) {
	left := latest.NextUpdate.Sub(p.c.Now())
	if left < a.Life/4 && p.unsaid("root list", 24*time.Hour) {
		p.c.Log.Warn("the root's revocation list must be renewed: bring its key back for a moment",
			"issuer", a.Name, "ends", latest.NextUpdate)
	}
}
