package app

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The times after a signal. Their sum leaves a second of the 15 in which the program ends.
const (
	shutdownGrace = 11 * time.Second // stop delay, open requests and background work together
	lastWrites    = 2 * time.Second  // not of the grace, which one slow client can use up
	closeAtLeast  = time.Second      // closing also has what the others left
)

// stopWithin is how long stopping takes at most, also when a part of it hangs.
const stopWithin = shutdownGrace + lastWrites + closeAtLeast

// stopDelay is how long the portal serves on after a signal.
func (p *App) stopDelay() time.Duration {
	if !p.DB.Shared() {
		return 0
	}
	return p.Settings.StopDelay
}

// awaitBalancer makes readiness red and serves on for the stop delay, so that a balancer
// sends requests to other portals before the ports close.
func (p *App) awaitBalancer(failed <-chan error) error {
	p.stopping.Store(true)
	delay := p.stopDelay()
	if delay == 0 {
		return nil
	}
	p.log.Info("stopping: readiness is red, requests are answered until the ports close", "after", delay.String())
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case err := <-failed:
		return err
	case <-timer.C:
		return nil
	}
}

// finish closes the ports, answers what came before, and ends the servers.
func (p *App) finish(grace context.Context, all []*http.Server) {
	for _, l := range []net.Listener{p.https, p.http, p.checkPort, p.revokerPort} {
		if l != nil {
			_ = l.Close() // again in Close, which reports errors
		}
	}
	p.fresh.await(grace)
	var closing sync.WaitGroup
	for _, s := range all {
		closing.Go(func() { p.shutDown(grace, s) })
	}
	closing.Wait()
}

// awaitLoops waits for the background work, which ended its context before the servers did,
// and logs what does not end: the program ends all the same.
func (p *App) awaitLoops(grace context.Context) {
	if names := p.loops.wait(grace); len(names) > 0 {
		p.log.Error("background work did not end in time: the program ends without it", "work", strings.Join(names, ", "))
	}
}

// writeLast writes what the last requests did to the journal, whose clock ended before them,
// and what was left out of the audit log.
func (p *App) writeLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastWrites)
	defer cancel()
	ended := endsWithin(lastWrites, func() {
		if err := p.journal.Follow(ctx); err != nil {
			p.log.Error("writing the journal of revocations at shutdown", "err", err)
		}
		if _, err := p.DB.NoteAllFloods(ctx, p.Now()); err != nil {
			p.log.Error("noting refusals that were left out of the audit log", "err", err)
		}
	})
	if !ended {
		p.log.Error("the last writes did not end in time: the program ends without them")
	}
}

// shutDown waits for requests under way until grace ends, then closes connections.
func (p *App) shutDown(grace context.Context, s *http.Server) {
	if err := s.Shutdown(grace); err != nil {
		p.log.Warn("cutting off what did not end in time", "err", err)
		s.Close()
	}
}

// freshConnections are those whose first request was not read. http.Server.Shutdown closes
// them without an answer to a request that is on its way.
type freshConnections struct {
	mu  sync.Mutex
	all map[net.Conn]bool
}

// note is the ConnState of an http.Server.
func (f *freshConnections) note(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != http.StateNew {
		delete(f.all, c)
		return
	}
	if f.all == nil {
		f.all = make(map[net.Conn]bool)
	}
	f.all[c] = true
}

func (f *freshConnections) none() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all) == 0
}

const (
	// freshLook is how often it is looked; none must be there twice.
	freshLook = 20 * time.Millisecond

	// freshMost is how long a client may be silent on a new connection, and freshShare what
	// part of the time that is left: requests under way need the rest.
	freshMost  = 4 * time.Second
	freshShare = 4
)

// await waits until no connection is fresh. It is for a time in which none comes.
func (f *freshConnections) await(ctx context.Context) {
	most := freshMost
	if end, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(end)/freshShare)
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	look := time.NewTicker(freshLook)
	defer look.Stop()
	for before := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		now := f.none()
		if before && now {
			return
		}
		before = now
	}
}

// loops is the background work. Each part has a name, so that the log says which one does not
// end when the portal stops.
type loops struct {
	mu      sync.Mutex
	running map[string]int
	all     sync.WaitGroup
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
