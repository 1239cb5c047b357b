package enroll

import (
	"certportal/internal/portal"
	"context"
	"fmt"
	"sync"
)

// keyedMutex lets one request of a person through at a time. A double tap then
// finds the outcome of the first, and the many connections of one person do not take the keys
// that others wait for.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[portal.PersonID]*keyLock
}

type keyLock struct {
	held  chan struct{} // holds one token while a request is inside
	users int           // inside and waiting; the last one out removes the turn
}

// lock waits until no other request of the person runs, or the context ends. leave
// must be called once.
func (t *keyedMutex) lock(ctx context.Context, id portal.PersonID) (leave func(), err error) {
	mine := t.acquire(id)
	select {
	case mine.held <- struct{}{}:
		return func() { <-mine.held; t.release(id) }, nil
	case <-ctx.Done():
		t.release(id)
		return nil, fmt.Errorf("waiting for an earlier request of the same person: %w", ctx.Err())
	}
}

func (t *keyedMutex) acquire(id portal.PersonID) *keyLock {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.locks == nil {
		t.locks = make(map[portal.PersonID]*keyLock)
	}
	mine := t.locks[id]
	if mine == nil {
		mine = &keyLock{held: make(chan struct{}, 1)}
		t.locks[id] = mine
	}
	mine.users++
	return mine
}

func (t *keyedMutex) release(id portal.PersonID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine := t.locks[id]; mine.users > 1 {
		mine.users--
		return
	}
	delete(t.locks, id)
}
