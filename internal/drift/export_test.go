package drift

import (
	"context"
	"time"
)

// RenewEvery sets how often the watch renews its lease.
func (w *Watch) RenewEvery(d time.Duration) { w.renewEvery = d }

// Lead runs passes while the watch has the lease.
func (w *Watch) Lead(ctx context.Context) time.Duration { return w.lead(ctx) }

// Delay exposes the delay until the next pass with a given random value.
func (w *Watch) Delay(r Report, err error, chance float64) time.Duration {
	return w.delay(r, err, chance)
}
