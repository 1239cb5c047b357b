package notify

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// sweepEvery is how often ends that come near are looked for.
const sweepEvery = time.Hour

// Run writes and sends until the context ends. Clerk and postman work side by
// side: a server that hangs keeps nothing from being written.
func (o *Notifier) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { o.repeat(ctx, o.c.Every, o.collectAll) })
	work.Go(func() { o.repeat(ctx, o.c.Every, o.Deliver) })
	work.Go(func() { o.repeat(ctx, sweepEvery, o.sweep) })
	work.Wait()
}

// repeat works until the context ends, first after a part of the interval that
// chance picks, so that replicas that start together do not work in step.
func (o *Notifier) repeat(ctx context.Context, interval time.Duration, work func(context.Context) error) {
	rest := rand.N(min(interval, 10*time.Second))
	for waited(ctx, rest) {
		// What failed was logged where it is known whether that is new.
		_ = work(ctx)
		rest = interval
	}
}

// write has the clerk work until there is nothing left.
func (o *Notifier) collectAll(ctx context.Context) error {
	for {
		more, err := o.Collect(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// sweep writes reminders and forgets old letters.
func (o *Notifier) sweep(ctx context.Context) error {
	if err := o.Remind(ctx); err != nil {
		return err
	}
	_, err := o.c.Store.PruneMessages(ctx, o.c.Now().Add(-KeepClosedFor))
	return o.storeResult(ctx, err)
}

// stored notes whether the outbox did its work. An ending context is no failure.
func (o *Notifier) storeResult(ctx context.Context, err error) error {
	switch {
	case err == nil:
		o.health.works(partOutbox)
	case ctx.Err() == nil:
		o.health.fails(partOutbox, err)
	}
	return err
}

// State tells how mail is doing, over all replicas.
func (o *Notifier) State(ctx context.Context) (State, error) {
	return o.c.Store.MailState(ctx, maxWaiting)
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
