package notify

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// sweepEvery is how often expiring certificates are looked for.
const sweepEvery = time.Hour

// Run writes and sends messages until the context ends. Collector and sender run
// concurrently, so that a server that hangs does not stop the collector.
func (n *Notifier) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { n.repeat(ctx, n.c.Every, n.collectAll) })
	work.Go(func() { n.repeat(ctx, n.c.Every, n.Deliver) })
	work.Go(func() { n.repeat(ctx, n.c.Every, n.Recall) })
	work.Go(func() { n.repeat(ctx, sweepEvery, n.sweep) })
	work.Wait()
}

// repeat calls work at an interval until the context ends. The first delay is random,
// so that replicas that start together do not run in step.
func (n *Notifier) repeat(ctx context.Context, interval time.Duration, work func(context.Context) error) {
	rest := rand.N(min(interval, 10*time.Second))
	for waited(ctx, rest) {
		// work logs its own errors, because it knows which of them are new.
		_ = work(ctx)
		rest = interval
	}
}

// collectAll collects until no entries are left.
func (n *Notifier) collectAll(ctx context.Context) error {
	for {
		more, err := n.Collect(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// sweep writes reminders and prunes closed messages.
func (n *Notifier) sweep(ctx context.Context) error {
	if err := n.Remind(ctx); err != nil {
		return err
	}
	_, err := n.c.Store.PruneMessages(ctx, n.c.Now().Add(-KeepClosedFor))
	return n.storeResult(ctx, err)
}

// storeResult records in the health state whether the store worked, and returns err.
// The end of the context does not count as a failure.
func (n *Notifier) storeResult(ctx context.Context, err error) error {
	switch {
	case err == nil:
		n.health.works(partOutbox)
	case ctx.Err() == nil:
		n.health.fails(partOutbox, err)
	}
	return err
}

// State returns the state of mail over all replicas.
func (n *Notifier) State(ctx context.Context) (State, error) {
	return n.c.Store.MailState(ctx, maxWaiting)
}

// waited reports whether the time passed before the context ended.
func waited(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
