package ocsp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// Group answers for several issuing CAs at one address, each with its own responder and
// signer. Its members may change while it runs. The zero value has no members and is ready
// for use.
type Group struct {
	members atomic.Pointer[[]*Responder]

	mu      sync.Mutex
	running context.Context // of Run; nil before
	stop    map[*Responder]context.CancelFunc
	clocks  sync.WaitGroup
}

func (g *Group) all() []*Responder {
	if all := g.members.Load(); all != nil {
		return *all
	}
	return nil
}

// Has reports whether there is a responder of an authority.
func (g *Group) Has(name string) bool {
	return slices.ContainsFunc(g.all(), func(r *Responder) bool { return r.c.Name == name })
}

// Add adds a responder in place of one of the same authority. If the group runs, so does
// the responder.
func (g *Group) Add(r *Responder) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(r.c.Name)
	all := append(slices.Clone(g.all()), r)
	g.members.Store(&all)
	if g.running != nil {
		g.run(r)
	}
}

// Remove stops the responder of an authority: requests about its certificates are then
// answered with unauthorized.
func (g *Group) Remove(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(name)
}

func (g *Group) remove(name string) {
	var left []*Responder
	for _, r := range g.all() {
		if r.c.Name != name {
			left = append(left, r)
			continue
		}
		if stop := g.stop[r]; stop != nil {
			stop()
			delete(g.stop, r)
		}
	}
	g.members.Store(&left)
}

// run starts the clocks of a responder.
func (g *Group) run(r *Responder) {
	ctx, stop := context.WithCancel(g.running)
	if g.stop == nil {
		g.stop = make(map[*Responder]context.CancelFunc)
	}
	g.stop[r] = stop
	g.clocks.Go(func() { r.Run(ctx) })
}

// Run runs all responders until the context ends.
func (g *Group) Run(ctx context.Context) {
	g.mu.Lock()
	g.running = ctx
	for _, r := range g.all() {
		g.run(r)
	}
	g.mu.Unlock()
	<-ctx.Done()
	g.mu.Lock() // no Add is between its look at running and its start
	g.running = nil
	g.mu.Unlock()
	g.clocks.Wait()
}

// Nudge is [Responder.Nudge] of all.
func (g *Group) Nudge() {
	for _, r := range g.all() {
		r.Nudge()
	}
}

// Refresh is [Responder.Refresh] of all. An error of one does not stop the others.
func (g *Group) Refresh(ctx context.Context) error {
	var errs []error
	for _, r := range g.all() {
		errs = append(errs, r.Refresh(ctx))
	}
	return errors.Join(errs...)
}

// Respond lets the responder answer whose CA issued all certificates of the request.
// Errors become OCSP error responses, as of [Responder.Respond].
func (g *Group) Respond(ctx context.Context, request []byte) Answer {
	return respond(ctx, request, g.all()...)
}

// Worst gives the state of the responder that is worst off: without a signer, with a
// trouble, or whose signer ends first. It is false when there is none.
func (g *Group) Worst() (Health, bool) {
	var states []Health
	for _, r := range g.all() {
		states = append(states, r.Health())
	}
	if len(states) == 0 {
		return Health{}, false
	}
	return slices.MinFunc(states, func(a, b Health) int {
		switch {
		case (a.Signer == nil) != (b.Signer == nil):
			return order(a.Signer == nil)
		case (a.Trouble == "") != (b.Trouble == ""):
			return order(a.Trouble != "")
		case a.Signer == nil:
			return 0
		}
		return a.Signer.NotAfter.Compare(b.Signer.NotAfter)
	}), true
}

// order puts the first of two before the second.
func order(first bool) int {
	if first {
		return -1
	}
	return 1
}
