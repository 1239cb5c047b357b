package enroll

import (
	"certportal/internal/portal"
	"context"
	"fmt"
	"sync"
)

// turnstile lets one request of a person through at a time. A double tap then
// finds the outcome of the first, and nobody's many connections take the keys
// that others wait for.
type turnstile struct {
	mu    sync.Mutex
	turns map[portal.PersonID]*turn
}

type turn struct {
	inside chan struct{} // holds one token while somebody is inside
	users  int           // inside and waiting; the last one out removes the turn
}

// enter waits for the person's turn, no longer than the context lives. leave
// must be called once.
func (t *turnstile) enter(ctx context.Context, id portal.PersonID) (leave func(), err error) {
	mine := t.join(id)
	select {
	case mine.inside <- struct{}{}:
		return func() { <-mine.inside; t.part(id) }, nil
	case <-ctx.Done():
		t.part(id)
		return nil, fmt.Errorf("waiting for an earlier request of the same person: %w", ctx.Err())
	}
}

func (t *turnstile) join(id portal.PersonID) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turns == nil {
		t.turns = make(map[portal.PersonID]*turn)
	}
	mine := t.turns[id]
	if mine == nil {
		mine = &turn{inside: make(chan struct{}, 1)}
		t.turns[id] = mine
	}
	mine.users++
	return mine
}

func (t *turnstile) part(id portal.PersonID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine := t.turns[id]; mine.users > 1 {
		mine.users--
		return
	}
	delete(t.turns, id)
}
