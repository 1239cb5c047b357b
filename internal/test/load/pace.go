package load

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Pace calls do so often a second, each call in a goroutine of its own and whether or not the
// last one ended, until n calls were made (0 for no bound) or the context ends. It returns when
// all calls ended.
func Pace(ctx context.Context, perSecond float64, n int, do func(i int)) {
	var working sync.WaitGroup
	defer working.Wait()
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; n == 0 || i < n; i++ {
		timer.Reset(time.Until(began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		working.Go(func() { do(i) })
	}
}

// Times collects how long things took. The zero value is ready to use. It is safe for
// concurrent use.
type Times struct {
	mu  sync.Mutex
	all []time.Duration
}

// Since adds the time since then.
func (t *Times) Since(then time.Time) {
	took := time.Since(then)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, took)
}

// Count is how many there are.
func (t *Times) Count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// Percentile is the time in milliseconds within which so many percent were done; 0 for none.
func (t *Times) Percentile(percent int) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return 0
	}
	slices.Sort(t.all)
	return float64(t.all[min(len(t.all)-1, len(t.all)*percent/100)].Microseconds()) / 1000
}
