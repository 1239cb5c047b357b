package drift

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// firstPassWithin spreads the first passes of replicas that start together.
	firstPassWithin = 20 * time.Second

	// minDelay keeps clock changes from causing a busy loop.
	minDelay = time.Second
)

// Run runs passes until the context ends, the first within 20 seconds.
func (w *Watch) Run(ctx context.Context) {
	rest := rand.N(min(w.c.Every, firstPassWithin))
	for waited(ctx, rest) {
		if w.c.Hold != nil && w.c.Hold() != nil {
			rest = minDelay
			continue
		}
		report, err := w.Once(ctx, Options{Apply: true})
		if err != nil && ctx.Err() == nil {
			w.c.Log.Error("comparing certificates with the directory", "err", err)
		}
		rest = w.delay(report, err, rand.Float64())
	}
}

// delay returns the time until the next pass: Every, shortened at random by 5 to 20 %
// so that replicas do not run in step, or until the next grace period ends, so that it
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
