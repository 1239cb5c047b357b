package directory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// idleTime is how long an unused connection is trusted. A firewall that forgets a
// connection does not say so, and a password sent into the void is not sent again.
const idleTime = time.Minute

// pool keeps the idle connections to one server, used last on top.
type pool struct {
	mu     sync.Mutex
	idle   []*link
	closed bool
}

// take gives out an idle connection, or nil.
func (p *pool) take(now time.Time) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(k *link) bool {
		old := now.Sub(k.used) > idleTime || k.conn.IsClosing()
		if old {
			k.close()
		}
		return old
	})
	if len(p.idle) == 0 {
		return nil
	}
	k := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return k
}

// give takes a connection back, or closes it when something failed on it.
func (p *pool) give(k *link, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.broken || p.closed {
		k.close()
		return
	}
	k.used = now
	p.idle = append(p.idle, k)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, k := range p.idle {
		k.close()
	}
	p.idle = nil
}

// slot waits until fewer than Calls questions are under way.
func (l *LDAP) slot(ctx context.Context) (release func(), err error) {
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a turn at the directory: %w", context.Cause(ctx))
	}
}

// read asks a question over a connection of the portal's account, at the first
// server that answers, and says which it was.
func (l *LDAP) read(ctx context.Context, servers []*server, ask func(context.Context, *link) error) (*server, error) {
	release, err := l.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return l.over(ctx, servers, func(ctx context.Context, s *server) error { return l.readFrom(ctx, s, ask) })
}

// readFrom asks one server. What fails over an idle connection is asked once more
// over a new one: the server may have closed it, or forgotten it, long ago.
func (l *LDAP) readFrom(ctx context.Context, s *server, ask func(context.Context, *link) error) error {
	if k := s.readers.take(l.c.Now()); k != nil {
		err := l.readIdle(ctx, k, ask)
		if !isFault(err) || ctx.Err() != nil {
			return err
		}
	}
	k, err := l.reader(ctx, s)
	if err != nil {
		return err
	}
	defer func() { s.readers.give(k, l.c.Now()) }()
	return ask(ctx, k)
}

func (l *LDAP) readIdle(ctx context.Context, k *link, ask func(context.Context, *link) error) error {
	defer func() { k.server.readers.give(k, l.c.Now()) }()
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Until(end)/2, errSlow)
		defer cancel()
	}
	return ask(ctx, k)
}
