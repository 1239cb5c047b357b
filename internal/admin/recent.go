package admin

import (
	"context"
	"errors"
	"sync"
	"time"
)

// readTimeout bounds one read of a [recent] value.
const readTimeout = time.Minute

// errBusy reports that there is no value yet and its read takes long.
var errBusy = errors.New("still being read")

// recent keeps the last value of something that is slow to read. There is one read at a
// time, and it belongs to no request: it goes on when the visitor who caused it has left,
// and all who ask meanwhile wait for it.
type recent[T any] struct {
	mu      sync.Mutex
	value   T
	at      time.Time     // when its read began; zero without a value
	wanted  bool          // asked for since then
	err     error         // of the last read
	reading chan struct{} // closed when the read in progress ends; nil without one
}

// get returns a value that is younger than life. After the patience it returns the older
// one, or errBusy when there is none.
func (r *recent[T]) get(ctx context.Context, now time.Time, life, patience time.Duration, read func(context.Context) (T, error)) (T, error) {
	r.mu.Lock()
	if r.young(now, life) {
		defer r.mu.Unlock()
		r.wanted = true
		return r.value, nil
	}
	done := r.start(ctx, now, read)
	r.wanted = true
	r.mu.Unlock()

	var zero T
	timer := time.NewTimer(patience)
	defer timer.Stop()
	late := false
	select {
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	case <-timer.C:
		late = true
	case <-done:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case late && r.at.IsZero():
		return zero, errBusy
	case !late && r.err != nil:
		return zero, r.err
	}
	return r.value, nil
}

// young reports whether there is a value of that age at most. The caller holds the lock.
func (r *recent[T]) young(now time.Time, life time.Duration) bool {
	age := now.Sub(r.at)
	return !r.at.IsZero() && age >= 0 && age < life
}

// start begins a read unless one is in progress, and returns what is closed at its end. The
// caller holds the lock.
func (r *recent[T]) start(ctx context.Context, now time.Time, read func(context.Context) (T, error)) <-chan struct{} {
	if r.reading != nil {
		return r.reading
	}
	done := make(chan struct{})
	r.reading, r.wanted = done, false
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer cancel()
		value, err := read(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.err, r.reading = err, nil; err == nil {
			r.value, r.at = value, now
		}
		close(done)
	}()
	return done
}

// refresh begins a read when there is no value, or one of that age that was asked for. It
// waits for nothing.
func (r *recent[T]) refresh(ctx context.Context, now time.Time, age time.Duration, read func(context.Context) (T, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || r.wanted && !r.young(now, age) {
		r.start(ctx, now, read)
	}
}
