package crl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"certportal/ca"
)

// updater makes the lists of one issuer and holds those in force.
type updater struct {
	p *Publisher
	a Authority

	complete, delta atomic.Pointer[List] // in force
	nudge           chan struct{}
	building        sync.Mutex // one list at a time in this process
	debounce        debounce   // of the goroutine that runs

	mu      sync.Mutex
	waiting bool
	trouble string
	since   time.Time
	logged  time.Time // when the trouble was last logged
	said    map[bool]warning
	away    bool          // the key is in a safe
	took    time.Duration // to build and publish the last list

	builds, failures uint64 // of turns that were taken here
}

func newUpdater(p *Publisher, a Authority) *updater {
	return &updater{p: p, a: a, nudge: make(chan struct{}, 1), said: map[bool]warning{}}
}

// kinds are the kinds of list the issuer has, told by whether it is a delta list.
func (k *updater) kinds() []bool {
	if k.a.DeltaRenew > 0 {
		return []bool{false, true}
	}
	return []bool{false}
}

func (k *updater) slot(delta bool) *atomic.Pointer[List] {
	if delta {
		return &k.delta
	}
	return &k.complete
}

// list gives the list in force, nil when there is none.
func (k *updater) list(delta bool) *List { return k.slot(delta).Load() }

// advance puts a list in force, and never an older one in the place of a newer.
func (k *updater) advance(l List) {
	slot := k.slot(l.Base > 0)
	for {
		held := slot.Load()
		if held != nil && held.Number >= l.Number {
			return
		}
		if slot.CompareAndSwap(held, &l) {
			break
		}
	}
	for _, c := range k.p.copiers {
		signal(c.wake)
	}
}

// errRewound says that the records were restored under a running portal.
var errRewound = errors.New("the records were restored from an older copy while the portal ran: restart it, " +
	"so that what was revoked since is brought back; until then no list is made")

// load takes over what is published, here or by another replica.
func (k *updater) load(ctx context.Context) error {
	for _, delta := range k.kinds() {
		have := int64(0)
		held := k.list(delta)
		if held != nil {
			have = held.Number
		}
		l, ok, err := k.p.c.Store.Latest(ctx, k.a.Name, delta, have)
		if err != nil {
			return fmt.Errorf("loading: %w", err)
		}
		if held != nil && (!ok || l.Number < have) {
			return errRewound
		}
		if ok && l.Number > have {
			k.advance(l)
		}
	}
	return nil
}

// madeAt is when a list was made: it is dated back, for clocks that are behind.
func madeAt(l *List) time.Time { return l.ThisUpdate.Add(backdate) }

// interval is the age at which a list is made anew: before half of its life is over,
// whatever the settings were when it was made.
func (k *updater) interval(l *List) time.Duration {
	age := k.a.Renew
	if l.Base > 0 {
		age = k.a.DeltaRenew
	}
	return min(age, l.NextUpdate.Sub(madeAt(l))/2)
}

// next is when the next list is due by the clock.
func (k *updater) next(l *List) time.Time { return madeAt(l).Add(k.interval(l)) }

// due says which lists are to be made.
type due struct {
	complete, delta bool
	revoked         bool // a revocation waits
	forced          bool // by an administrator: whether due or not
}

func (w due) any() bool { return w.complete || w.delta }

// findDue loads what is published and says what is due: a list that is missing or old,
// or one that tells of what was revoked since.
func (k *updater) findDue(ctx context.Context) (due, error) {
	if err := k.load(ctx); err != nil {
		return due{}, err
	}
	now := k.p.c.Now()
	if err := k.checkClock(now); err != nil {
		return due{}, err
	}
	deltas := k.a.DeltaRenew > 0
	revoked, err := k.p.c.Store.Unlisted(ctx, k.a.Name, deltas)
	if err != nil {
		return due{}, fmt.Errorf("looking for revocations: %w", err)
	}
	k.mu.Lock()
	k.waiting = revoked
	k.mu.Unlock()
	w := due{revoked: revoked}
	complete, delta := k.list(false), k.list(true)
	w.complete = complete == nil || !now.Before(k.next(complete)) || revoked && !deltas
	// A delta list adds to a complete one that is published.
	w.delta = deltas && complete != nil && (delta == nil || !now.Before(k.next(delta)) || revoked)
	return w, nil
}

// checkClock refuses a clock that was set back: thisUpdate must never go back, for
// then whoever compares takes the older list, and what was revoked opens doors again.
func (k *updater) checkClock(now time.Time) error {
	for _, delta := range k.kinds() {
		l := k.list(delta)
		if l != nil && now.Before(l.ThisUpdate) {
			return fmt.Errorf("the clock says %s, before the last list of %s: check the clock; until it is past that time no list is made",
				now.UTC().Format(time.RFC3339), madeAt(l).UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// publishDue makes the lists that are due, if any.
func (k *updater) publishDue(ctx context.Context) error {
	w, err := k.findDue(ctx)
	if err == nil && w.any() {
		err = k.publish(ctx, w)
	}
	if k.keyIsAway(err) {
		err = nil
	}
	k.report(err)
	return err
}

// keyIsAway reports whether a list that cannot be signed lives on: its key is in a safe.
func (k *updater) keyIsAway(err error) bool {
	away := errors.Is(err, ca.ErrNoRootKey) && k.list(false) != nil
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = away
	return away
}

// tick is how often is looked whether something is due; what another replica revoked
// or published is seen after this time at the latest.
const tick = time.Second

// run keeps the lists fresh until the context ends.
func (k *updater) run(ctx context.Context) {
	for {
		wait, gathering := k.step(ctx)
		nudge := k.nudge
		if gathering {
			nudge = nil // what comes now comes along
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-nudge:
		}
	}
}

// step looks once, makes what is due unless more is to be gathered first, and says
// when to look again. While it must wait, others' lists are taken over all the same.
func (k *updater) step(ctx context.Context) (wait time.Duration, gathering bool) {
	w, err := k.findDue(ctx)
	began := time.Now()
	if err == nil && w.any() {
		if wait := k.debounce.wait(began, w.revoked); wait > 0 {
			return min(wait, tick), true
		}
		err = k.publish(ctx, w)
	}
	if ctx.Err() != nil || errors.Is(err, ErrBusy) {
		return tick, false
	}
	if w.any() || err != nil {
		k.debounce.ended(began, time.Since(began), err != nil)
	}
	if k.keyIsAway(err) {
		err = nil
	}
	k.report(err)
	return tick, false
}

// repeatTrouble is how often the log says again what was said.
const repeatTrouble = time.Hour

// tell keeps an error for the health, and puts it into the log when it is new: the
// clock looks every second, and so would the log.
func (k *updater) report(err error) {
	if errors.Is(err, ErrBusy) {
		return
	}
	now := k.p.c.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.trouble, k.since = "", time.Time{}
		return
	}
	known := withoutDigits(err.Error()) == withoutDigits(k.trouble)
	if k.trouble == "" {
		k.since = now
	}
	k.trouble = err.Error()
	if age := now.Sub(k.logged); known && age >= 0 && age < repeatTrouble {
		return
	}
	k.logged = now
	k.p.c.Log.Error("publishing revocation list", "issuer", k.a.Name, "err", err)
}

// withoutDigits makes one complaint of those that differ in a time or a number.
func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}
