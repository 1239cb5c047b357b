package oidc

import (
	"context"
	"time"
)

const (
	// keepFor is how long a document of the provider is believed. A key that the
	// provider withdrew is worth nothing after it.
	keepFor = time.Hour

	// askAgain is the shortest time between two readings of a document: a provider
	// that is down, or a token with an invented key id, makes no storm.
	askAgain = 5 * time.Second
)

// kept is a document of the provider: read when it is first needed, and again
// when it is old. A fault is remembered for a moment, so that those who wait do
// not each wait for the same fault.
type kept[T any] struct {
	now  func() time.Time
	read func(context.Context) (T, error)

	turn  chan struct{} // holds one token while somebody looks or reads; guards the rest
	asked time.Time     // last reading; zero before
	value T
	err   error
}

func newKept[T any](now func() time.Time, read func(context.Context) (T, error)) *kept[T] {
	return &kept[T]{now: now, read: read, turn: make(chan struct{}, 1)}
}

// get returns the document, read afresh when it is old or renew asks for it. It
// waits no longer than the context lives.
func (k *kept[T]) get(ctx context.Context, renew bool) (T, error) {
	var none T
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	age := k.now().Sub(k.asked)
	if !k.asked.IsZero() && age >= 0 {
		fresh := k.err == nil && age < keepFor && !renew
		if fresh || age < askAgain {
			return k.value, k.err
		}
	}
	// Whoever asks may leave: what others wait for is read all the same, within
	// the same time.
	reading, cancel := context.WithoutCancel(ctx), func() {}
	if deadline, ok := ctx.Deadline(); ok {
		reading, cancel = context.WithDeadline(reading, deadline)
	}
	defer cancel()
	k.asked = k.now()
	k.value, k.err = k.read(reading)
	return k.value, k.err
}
