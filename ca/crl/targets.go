package crl

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Target is a place that lists are copied to, where others fetch them too.
type Target interface {
	// Name tells people which place it is.
	Name() string

	// Put brings a list there, unless a later one stands there already, and gives the
	// number of the list that stands there then. It may be called again for a list
	// that is there.
	Put(ctx context.Context, l List) (number int64, err error)
}

// Pauses after a target failed.
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
	copied map[string]TargetHealth // under the name of the list
	logged map[string]string       // the last complaint
}

func newCopier(p *Publisher, t Target) *copier {
	return &copier{p: p, target: t, wake: make(chan struct{}, 1), copied: map[string]TargetHealth{}, logged: map[string]string{}}
}

// listName is the name of a list in addresses and of files.
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

// run copies until the context ends. A target may hang for as long as a file share
// does: then it is left behind.
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

// deliver copies what the target lacks. One list's trouble does not keep another back.
func (c *copier) deliver(ctx context.Context) error {
	var first error
	for _, k := range c.p.updaters {
		for _, delta := range k.kinds() {
			l := k.list(delta)
			if l == nil || c.health(k.a.Name, delta).Number >= l.Number {
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
