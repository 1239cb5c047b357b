package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// Close closes the listeners, the directory, the journal, the tokens, the database and the data
// folder, each but the last without waiting for the others. What hangs is logged and left to the
// end of the program.
func (p *App) Close() error {
	end := p.closeBy
	if end.IsZero() { // the start went wrong
		end = time.Now().Add(stopWithin)
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	return p.awaitClosing(ctx, p.beginClosing())
}

// closing is what Close waits for.
type closing struct {
	parts loops

	mu   sync.Mutex
	errs []error
}

func (c *closing) run(name string, end func() error) {
	c.parts.run(name, func() {
		err := end()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs = append(c.errs, err)
	})
}

func (c *closing) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.errs...)
}

// beginClosing closes all but the lock of the data folder.
func (p *App) beginClosing() *closing {
	c := new(closing)
	c.run("ports", p.closePorts)
	if p.ldap != nil {
		c.run("directory", p.ldap.Close)
	}
	if p.journal != nil {
		c.run("journal of revocations", p.journal.Close)
	}
	if p.CA != nil {
		c.run("tokens", p.CA.Close)
	}
	if p.DB != nil {
		c.run("database", p.DB.Close)
	}
	return c
}

// awaitClosing unlocks the data folder when all is closed: a part that hangs may still write there.
func (p *App) awaitClosing(ctx context.Context, c *closing) error {
	if names := c.parts.wait(ctx); len(names) > 0 {
		parts := strings.Join(names, ", ")
		p.log.Error("closing did not end in time: the program ends without it", "part", parts)
		return errors.Join(fmt.Errorf("closing did not end in time: %s", parts), c.err())
	}
	if p.lock == nil {
		return c.err()
	}
	return errors.Join(c.err(), p.lock.Close())
}

func (p *App) closePorts() error {
	var errs []error
	for _, l := range []net.Listener{p.https, p.http, p.opsPort, p.checkPort, p.revokerPort} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
