package notify

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// claim is the right to send claimed messages. It is renewed until it ends, so that it may
// be short: when a sender dies, another has its messages soon.
type claim struct {
	until   atomic.Int64 // nanoseconds of the Unix time
	stop    context.CancelFunc
	renewal sync.WaitGroup
}

// hold renews the claim on messages, which lasts until the time given, until end.
func (n *Notifier) hold(ctx context.Context, msgs []Message, until time.Time) *claim {
	c := &claim{}
	c.until.Store(until.UnixNano())
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
			if err := n.c.Store.ExtendClaims(ctx, msgs, next); err == nil {
				c.until.Store(next.UnixNano())
			}
		}
	})
	return c
}

// over reports whether the claim could not be renewed in time.
func (c *claim) over(now time.Time) bool { return now.UnixNano() >= c.until.Load() }

// end ends the renewal.
func (c *claim) end() {
	c.stop()
	c.renewal.Wait()
}
