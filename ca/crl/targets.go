package crl

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Target is a place that lists are copied to, from which clients can fetch them too.
type Target interface {
	// Name gives the name of the target, for log and pages.
	Name() string

	// Takes reports whether the target has a place for lists of an issuer.
	Takes(issuer string) bool

	// Put copies a list to the target, unless the target has the same or a later one, and
	// gives the number of the list that the target then has. It is idempotent.
	Put(ctx context.Context, l List) (number int64, err error)
}

// firstPause is the first backoff after a target failed, putTimeout the limit for one copy.
const (
	firstPause = 5 * time.Second
	putTimeout = time.Minute
)

// copier copies lists to one target.
type copier struct {
	p      *Publisher
	target Target
	wake   chan struct{}

	mu     sync.Mutex
	copied map[string]TargetHealth // by name of the list
	logged map[string]string       // last error logged, by name of the list
}

func newCopier(p *Publisher, t Target) *copier {
	return &copier{p: p, target: t, wake: make(chan struct{}, 1), copied: map[string]TargetHealth{}, logged: map[string]string{}}
}

// listName gives the name of a list in URLs and file names.
func listName(issuer string, delta bool) string {
	if delta {
		return issuer + DeltaSuffix
	}
	return issuer
}

func (c *copier) health(issuer string, delta bool) TargetHealth {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.copied[listName(issuer, delta)]
	h.Name = c.target.Name()
	return h
}

// run copies lists until the context ends. It does not wait for a target that hangs then,
// as a file share can: the goroutine of that copy is abandoned.
func (c *copier) run(ctx context.Context) {
	pause := firstPause
	for {
		done := make(chan error, 1)
		go func() { done <- c.deliver(ctx) }()
		var err error
		select {
		case <-ctx.Done():
			return
		case err = <-done:
		}
		var retry <-chan time.Time
		if err != nil {
			retry = time.After(pause)
			pause = min(2*pause, longestPause)
		} else {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-retry:
		}
	}
}

// Deliver copies all lists to all targets that lack them, once.
func (p *Publisher) Deliver(ctx context.Context) error {
	for _, c := range p.copiers {
		if err := c.deliver(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deliver copies the lists that the target lacks. An error of one does not stop the others.
func (c *copier) deliver(ctx context.Context) error {
	var first error
	for _, u := range c.p.updaters() {
		if !c.target.Takes(u.a.Name) {
			continue
		}
		for _, delta := range u.kinds() {
			l := u.list(delta)
			if l == nil || c.health(u.a.Name, delta).Number >= l.Number {
				continue
			}
			if err := c.put(ctx, *l); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

func (c *copier) put(ctx context.Context, l List) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	number, err := c.target.Put(ctx, l)
	name := listName(l.Issuer, l.Base > 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.copied[name]
	if err == nil {
		if c.logged[name] != "" {
			c.p.c.Log.Info("revocation list copied again", "list", name, "target", c.target.Name(), "number", number)
		}
		c.copied[name] = TargetHealth{Number: number, At: c.p.c.Now()}
		delete(c.logged, name)
		return nil
	}
	h.Trouble = err.Error()
	c.copied[name] = h
	if complaint := withoutDigits(h.Trouble); c.logged[name] != complaint {
		c.logged[name] = complaint
		c.p.c.Log.Error("copying revocation list", "list", name, "target", c.target.Name(), "err", err)
	}
	return fmt.Errorf("copying list of %s to %s: %w", name, c.target.Name(), err)
}
