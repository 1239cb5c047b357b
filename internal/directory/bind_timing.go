package directory

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// timing delays the refusal of an unknown login name by as long as a server takes to
// refuse a wrong password. Samba takes 3 ms for a wrong password, which it counts, and
// 0.2 ms for an unknown name; the difference would reveal which accounts exist (attack
// A8).
type timing struct {
	mu     sync.Mutex
	recent []time.Duration // durations of the last refused binds of people
	next   int
}

// timingSamples is the number of durations kept, and maxDelay the longest delay.
const (
	timingSamples = 32
	maxDelay      = time.Second
)

func (p *timing) start() time.Time { return time.Now() }

// record adds the duration of a person's refused bind.
func (p *timing) record(started time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := min(time.Since(started), maxDelay)
	if len(p.recent) < timingSamples {
		p.recent = append(p.recent, took)
		return
	}
	p.recent[p.next] = took
	p.next = (p.next + 1) % timingSamples
}

// wait returns when a randomly chosen recorded duration has passed since started, so that
// both kinds of refusal have the same distribution.
func (p *timing) wait(ctx context.Context, started time.Time) {
	p.mu.Lock()
	var took time.Duration
	if len(p.recent) > 0 {
		took = p.recent[rand.IntN(len(p.recent))]
	}
	p.mu.Unlock()
	timer := time.NewTimer(took - time.Since(started))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
