package drift

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// When a watch dies, another one has the lease after leaseFor and tryEvery at most, which is
// within 30 seconds (F9).
const (
	leaseFor   = 20 * time.Second
	renewEvery = 5 * time.Second
	tryEvery   = 5 * time.Second

	// releaseWithin bounds the return of a lease, which may come at the end of the program.
	releaseWithin = 2 * time.Second
)

// tenure is the time in which a watch has the lease. It is renewed until the end.
type tenure struct {
	watch   *Watch
	lease   Lease
	stop    context.CancelFunc
	renewal sync.WaitGroup
}

// acquire begins a tenure. The context that it returns ends when the lease is lost. With
// force the lease is taken from another watch.
func (w *Watch) acquire(ctx context.Context, force bool) (context.Context, *tenure, error) {
	now, err := w.c.Clock(ctx)
	if err != nil {
		return nil, nil, err
	}
	lease, err := w.c.Store.AcquireDriftLease(ctx, w.c.Holder, now, now.Add(leaseFor), force)
	if err != nil {
		return nil, nil, err
	}
	held, lose := context.WithCancelCause(ctx)
	t := &tenure{watch: w, lease: lease, stop: func() { lose(context.Canceled) }}
	t.renewal.Go(func() { t.renew(held, lose) })
	return held, t, nil
}

// renew renews the lease until the context ends or the lease is lost. A watch whose clock is
// wrong gives it up.
func (t *tenure) renew(ctx context.Context, lose context.CancelCauseFunc) {
	tick := time.NewTicker(t.watch.renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := t.watch.c.Hold(); err != nil {
			lose(err)
			return
		}
		// Without an answer the lease may be over: the next write finds that out.
		if err := t.extend(ctx); errors.Is(err, ErrLeaseLost) {
			lose(err)
			return
		}
	}
}

func (t *tenure) extend(ctx context.Context) error {
	now, err := t.watch.c.Clock(ctx)
	if err != nil {
		return err
	}
	return t.watch.c.Store.RenewDriftLease(ctx, t.lease, now.Add(leaseFor))
}

// end gives the lease back, also when the program ends.
func (t *tenure) end(ctx context.Context) {
	t.stop()
	t.renewal.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
	defer cancel()
	if err := t.watch.c.Store.ReleaseDriftLease(ctx, t.lease); err != nil && !errors.Is(err, ErrLeaseLost) {
		t.watch.c.Log.Warn("returning the lease of the drift watch, which ends by itself", "err", err)
	}
}

// lostBy adds to the error of a pass why the lease was lost, if it was.
func lostBy(held context.Context, err error) error {
	if err == nil || held.Err() == nil || errors.Is(err, ErrLeaseLost) {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(held), err)
}
