package adcs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// restTime is how long an address that could not be reached is asked last.
const restTime = time.Minute

// address is one web service of the CA.
type address struct {
	wire *wire.Client

	mu   sync.Mutex
	rest time.Time // until when it is asked last; zero: it was reached
}

// addresses are those of one CA, the preferred one first.
type addresses []*address

func newAddresses(c wire.Config, further []string) (addresses, error) {
	var list addresses
	for _, url := range append([]string{c.URL}, further...) {
		c.URL = url
		w, err := wire.New(c)
		if err != nil {
			return nil, err
		}
		list = append(list, &address{wire: w})
	}
	return list, nil
}

// inOrder gives those that were reached, then the others.
func (a addresses) inOrder(now time.Time) addresses {
	var well, resting addresses
	for _, one := range a {
		if one.resting(now) {
			resting = append(resting, one)
		} else {
			well = append(well, one)
		}
	}
	return append(well, resting...)
}

func (a *address) resting(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Before(a.rest)
}

// note remembers whether the address was reached.
func (a *address) note(err error, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rest = time.Time{}
	if errors.Is(err, upstream.ErrUnsent) {
		a.rest = now.Add(restTime)
	}
}

// another says after which errors a message may go to another address too.
type another func(error) bool

// unsent is for requests for a certificate: one whose body was sent is never repeated,
// because it could lead to a second certificate.
func unsent(err error) bool { return errors.Is(err, upstream.ErrUnsent) }

// unanswered is for questions about a request: every web service of the CA has the answer,
// so that only one by the CA itself is the last.
func unanswered(err error) bool {
	if f, ok := errors.AsType[*faultError](err); ok {
		return f.effect == 0
	}
	if d, ok := errors.AsType[*upstream.Denied](err); ok {
		_, code := ParseHRESULT(d.Code)
		return !code && d.Code != CodeDenied
	}
	return true
}

// try calls send with one address after the other, until it is done or may not go on. The
// error wraps [upstream.ErrUnsent] only when no address got the message.
func (a addresses) try(ctx context.Context, now func() time.Time, again another, send func(*wire.Client) error) error {
	var before error
	for _, one := range a.inOrder(now()) {
		err := send(one.wire)
		if ctx.Err() == nil || err == nil {
			one.note(err, now())
		}
		switch {
		case err == nil:
			return nil
		case before == nil:
			before = err
		case unsent(before) && unsent(err):
			before = fmt.Errorf("%w; %w", before, err)
		case unsent(err): // an earlier address may have got it
			before = fmt.Errorf("%w; %v", before, err)
		default:
			before = fmt.Errorf("%w (before: %v)", err, before)
		}
		if ctx.Err() != nil || !again(err) {
			return before
		}
	}
	return before
}

// probe asks all addresses at the same time. When one answers and another does not, the error wraps
// [upstream.ErrSpare].
func (a addresses) probe(ask func(addresses) error) error {
	all := make([]error, len(a))
	var wait sync.WaitGroup
	for i, one := range a {
		wait.Go(func() { all[i] = ask(addresses{one}) })
	}
	wait.Wait()
	errs := slices.DeleteFunc(all, func(err error) bool { return err == nil })
	if len(errs) > 0 && len(errs) < len(a) {
		return fmt.Errorf("%d of %d addresses cannot be used, %w: %w", len(errs), len(a), upstream.ErrSpare, errors.Join(errs...))
	}
	return errors.Join(errs...)
}
