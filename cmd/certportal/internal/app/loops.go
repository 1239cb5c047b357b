package app

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// loops is the background work. Each part has a name, so that the log says which one does not
// end when the portal stops.
type loops struct {
	mu      sync.Mutex
	running map[string]int
	all     sync.WaitGroup
	stuck   bool // not all ended in time
}

// run runs a part in the background.
func (l *loops) run(name string, part func()) {
	l.count(name, 1)
	l.all.Go(func() {
		defer l.count(name, -1)
		part()
	})
}

// every calls do at an interval until the context ends.
func (l *loops) every(ctx context.Context, name string, interval time.Duration, do func()) {
	l.run(name, func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				do()
			}
		}
	})
}

func (l *loops) count(name string, by int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == nil {
		l.running = make(map[string]int)
	}
	if l.running[name] += by; l.running[name] == 0 {
		delete(l.running, name)
	}
}

// wait waits until all parts have ended, or the context has, and returns those that still run.
func (l *loops) wait(ctx context.Context) []string {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.all.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck = len(l.running) > 0
	return slices.Sorted(maps.Keys(l.running))
}

// endsWithin runs what may hang, and reports whether it ended in time.
func endsWithin(d time.Duration, work func()) bool {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		work()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}
