package oidc

import (
	"context"
	"time"
)

const (
	// maxAge is how long a document of the provider is cached, and thus how long a key
	// that the provider withdrew is still accepted.
	maxAge = time.Hour

	// minInterval is the shortest time between two reads of a document, so that neither a
	// provider that is down nor tokens with invented key ids cause a flood of requests.
	minInterval = 5 * time.Second
)

// cached is a document of the provider. It is read when first needed and again when it is
// old. An error is cached for minInterval, so that waiting callers do not each repeat the
// failing request.
type cached[T any] struct {
	now  func() time.Time
	read func(context.Context) (T, error)

	sem    chan struct{} // mutex of the fields below; a channel, so that waiting ends with the context
	readAt time.Time     // time of the last read; zero before
	value  T
	err    error
}

func newCached[T any](now func() time.Time, read func(context.Context) (T, error)) *cached[T] {
	return &cached[T]{now: now, read: read, sem: make(chan struct{}, 1)}
}

// get returns the document, and reads it again when it is old or when renew is set. It
// waits until the context ends.
func (c *cached[T]) get(ctx context.Context, renew bool) (T, error) {
	var none T
	select {
	case c.sem <- struct{}{}:
		defer func() { <-c.sem }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	age := c.now().Sub(c.readAt)
	if !c.readAt.IsZero() && age >= 0 {
		fresh := c.err == nil && age < maxAge && !renew
		if fresh || age < minInterval {
			return c.value, c.err
		}
	}
	// A canceled caller must not fail the callers that wait for the same document, so the
	// read keeps only the deadline of the context.
	reading, cancel := context.WithoutCancel(ctx), func() {}
	if deadline, ok := ctx.Deadline(); ok {
		reading, cancel = context.WithDeadline(reading, deadline)
	}
	defer cancel()
	c.readAt = c.now()
	c.value, c.err = c.read(reading)
	return c.value, c.err
}
