package directory

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// pace makes a refused stranger wait as long as a refused person. A server looks
// longer at a wrong password than at a name it does not know (Samba 3 ms against
// 0.2 ms: it counts the try), which would tell who exists (attack A8).
type pace struct {
	mu     sync.Mutex
	recent []time.Duration // of the last binds of people that were refused
	next   int
}

// paceMemory is how many refusals are remembered, and maxPace the longest wait.
const (
	paceMemory = 32
	maxPace    = time.Second
)

func (p *pace) start() time.Time { return time.Now() }

// refused learns how long the refusal of a real person took.
func (p *pace) refused(started time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := min(time.Since(started), maxPace)
	if len(p.recent) < paceMemory {
		p.recent = append(p.recent, took)
		return
	}
	p.recent[p.next] = took
	p.next = (p.next + 1) % paceMemory
}

// wait lasts until one of the remembered times has passed since the start; which
// one is left to chance, so that the two spread alike.
func (p *pace) wait(ctx context.Context, started time.Time) {
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
