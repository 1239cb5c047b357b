package directory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// idleTime is how long an idle connection is reused. A firewall may drop it silently, and
// a password sent over a dead connection is not sent again.
const idleTime = time.Minute

// pool holds the idle connections to one server, the last used first.
type pool struct {
	mu     sync.Mutex
	idle   []*connection
	closed bool
}

// take returns an idle connection, or nil.
func (p *pool) take(now time.Time) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(conn *connection) bool {
		old := now.Sub(conn.used) > idleTime || conn.client.IsClosing()
		if old {
			conn.close()
		}
		return old
	})
	if len(p.idle) == 0 {
		return nil
	}
	conn := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return conn
}

// give returns a connection to the pool, or closes a broken one.
func (p *pool) give(conn *connection, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn.broken || p.closed {
		conn.close()
		return
	}
	conn.used = now
	p.idle = append(p.idle, conn)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, conn := range p.idle {
		conn.close()
	}
	p.idle = nil
}

// slot waits until fewer than Calls requests are in progress.
func (l *LDAP) slot(ctx context.Context) (release func(), err error) {
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another request to the directory to finish: %w", context.Cause(ctx))
	}
}

// read runs a request as the portal's account on the first server that answers, and
// returns that server.
func (l *LDAP) read(ctx context.Context, servers []*server, request func(context.Context, *connection) error) (*server, error) {
	release, err := l.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return l.tryServers(ctx, servers, func(ctx context.Context, s *server) error { return l.readFrom(ctx, s, request) })
}

// readFrom runs a request on one server. A request that fails on an idle connection is
// repeated on a new one: the server may have closed the old one.
func (l *LDAP) readFrom(ctx context.Context, s *server, request func(context.Context, *connection) error) error {
	if conn := s.readPool.take(l.c.Now()); conn != nil {
		err := l.readIdle(ctx, conn, request)
		if !isServerError(err) || ctx.Err() != nil {
			return err
		}
	}
	conn, err := l.readConn(ctx, s)
	if err != nil {
		return err
	}
	defer func() { s.readPool.give(conn, l.c.Now()) }()
	return request(ctx, conn)
}

func (l *LDAP) readIdle(ctx context.Context, conn *connection, request func(context.Context, *connection) error) error {
	defer func() { conn.server.readPool.give(conn, l.c.Now()) }()
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Until(end)/2, errTimeout)
		defer cancel()
	}
	return request(ctx, conn)
}
