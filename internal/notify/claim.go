package notify

import (
	"context"
	"slices"
	"sync"
	"time"
)

// claim is the right to send claimed messages. It is renewed until it ends, so that it may
// be short: when a sender dies, another has its messages soon.
type claim struct {
	stop    context.CancelFunc
	renewal sync.WaitGroup

	mu    sync.Mutex
	until time.Time
	held  []string // ids, since the last renewal
}

// hold renews the claim on messages, which lasts until the time given, until end.
func (n *Notifier) hold(ctx context.Context, msgs []Message, until time.Time) *claim {
	c := &claim{until: until}
	for _, m := range msgs {
		c.held = append(c.held, m.ID)
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.renewal.Go(func() {
		tick := time.NewTicker(n.c.Claim / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			next := n.c.Now().Add(n.c.Claim)
			if held, err := n.c.Store.ExtendClaims(ctx, msgs, next); err == nil {
				c.renewed(next, held)
			}
		}
	})
	return c
}

func (c *claim) renewed(until time.Time, held []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until, c.held = until, held
}

// over reports whether the claim could not be renewed in time.
func (c *claim) over(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !now.Before(c.until)
}

// has reports whether no other sender claimed a message, as after a pause of this process.
func (c *claim) has(m Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.held, m.ID)
}

// end ends the renewal.
func (c *claim) end() {
	c.stop()
	c.renewal.Wait()
}
