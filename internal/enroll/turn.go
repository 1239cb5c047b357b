package enroll

import (
	"context"
	"fmt"
	"sync"
	"time"

	"certportal/internal/portal"
)

// refusalPause is how long after a refusal the next request of the same person waits.
// Each refusal is recorded: a few accounts that are refused without pause must not slow
// down the others.
const refusalPause = 250 * time.Millisecond

// inTurn lets one request of a person act at a time, within the time of an issuance. The
// one that was refused has its answer at once; the next one waits.
func (r *Registrar) inTurn(ctx context.Context, person portal.PersonID, act func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	leave, err := r.persons.lock(ctx, person)
	if err != nil {
		return &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	freed := false
	defer func() {
		if !freed {
			leave()
		}
	}()
	if err = act(ctx); refused(err) {
		freed = true
		time.AfterFunc(refusalPause, leave)
	}
	return err
}

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
