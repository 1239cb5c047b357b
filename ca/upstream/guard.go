package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// guardRest is how long a secret that was refused is not sent again: longer than the window
// in which Active Directory counts wrong passwords by default.
const guardRest = 15 * time.Minute

// Guard keeps the portal from locking its own account: a password or key that was refused is
// not sent again for 15 minutes, unless it changes, and one that was not accepted yet is tried
// by one request at a time. It is safe for concurrent use.
type Guard struct {
	now    func() time.Time
	trying chan struct{} // holds one while a secret is tried that was not accepted yet

	mu       sync.Mutex
	accepted string
	refused  string
	until    time.Time // when the refused one may be tried again
	err      error     // the refusal
}

// NewGuard makes a guard for one account.
func NewGuard(now func() time.Time) *Guard {
	return &Guard{now: now, trying: make(chan struct{}, 1)}
}

// Try calls send, which signs in with the secret. Its error says by SignIn of *[Denied] that
// the secret was refused; the same is the error when nothing is sent because of that.
func (g *Guard) Try(ctx context.Context, secret string, send func() error) error {
	known, err := g.look(secret)
	if err != nil {
		return err
	}
	if !known {
		select {
		case g.trying <- struct{}{}:
			defer func() { <-g.trying }()
		case <-ctx.Done():
			return fmt.Errorf("waiting for another request to sign in: %w: %w", ErrUnsent, context.Cause(ctx))
		}
		if _, err := g.look(secret); err != nil {
			return err
		}
	}
	err = send()
	g.note(secret, err)
	return err
}

// look reports whether a secret was accepted before, and why it must not be tried.
func (g *Guard) look(secret string) (accepted bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if secret == g.refused && g.now().Before(g.until) {
		return false, fmt.Errorf("it was refused and is not tried before %s, so that the account is not locked; a new one is tried at once: %w",
			g.until.UTC().Format(time.RFC3339), g.err)
	}
	return secret == g.accepted, nil
}

// note remembers the outcome. Only a success shows that the server took the secret: other
// errors may come from before it looked.
func (g *Guard) note(secret string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	denied, answered := errors.AsType[*Denied](err)
	switch {
	case answered && denied.SignIn:
		g.refused, g.until, g.err = secret, g.now().Add(guardRest), err
		if g.accepted == secret {
			g.accepted = ""
		}
	case err == nil:
		g.accepted = secret
		if g.refused == secret {
			g.refused, g.err = "", nil
		}
	}
}
