package drift

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// firstPassWithin spreads the first passes of replicas that start together.
	firstPassWithin = 20 * time.Second

	// minDelay keeps clock changes from causing a busy loop.
	minDelay = time.Second

	// afterError is how long a watch rests that could not ask for the lease: little, because
	// the one that has it may have died with the server of the database.
	afterError = 10 * time.Second
)

// Run runs passes until the context ends, the first within 20 seconds. Of several watches
// over one store the one with the lease works, and the others wait for it.
func (w *Watch) Run(ctx context.Context) {
	rest := rand.N(min(w.c.Every, firstPassWithin))
	for waited(ctx, rest) {
		if rest = minDelay; w.c.Hold() == nil {
			rest = w.lead(ctx)
		}
	}
}

// lead runs passes while this watch has the lease, and returns how long to wait before it
// asks for it again. After a pass that did not complete another watch may do better: it may
// reach the directory. Without replicas there is no lease between passes, and no write.
func (w *Watch) lead(ctx context.Context) time.Duration {
	held, t, err := w.acquire(ctx, false)
	switch {
	case errors.Is(err, ErrBusy), ctx.Err() != nil:
		return min(tryEvery, w.c.Every)
	case err != nil:
		w.c.Log.Error("asking for the lease of the drift watch", "err", err)
		return min(afterError, w.c.Every)
	}
	defer t.end(ctx)
	for {
		report, err := w.pass(held, Options{Apply: true}, t.lease)
		if err != nil && ctx.Err() == nil {
			w.c.Log.Error("comparing certificates with the directory", "err", err)
		}
		rest := w.delay(report, err, rand.Float64())
		if err != nil || report.Stopped != "" || !w.c.Replicas {
			return rest
		}
		if !waited(held, rest) {
			return min(tryEvery, w.c.Every)
		}
	}
}

// delay returns the time until the next pass: Every, shortened at random by 5 to 20 %
// so that portals do not ask a directory in step, or until the next grace period ends, so that it
// is not extended to the pass after it.
func (w *Watch) delay(r Report, err error, chance float64) time.Duration {
	rest := time.Duration(float64(w.c.Every) * (0.8 + 0.15*chance))
	due := r.next()
	if err != nil || r.Stopped != "" || due.IsZero() {
		return rest
	}
	return min(rest, max(due.Sub(w.c.Now()), minDelay))
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
