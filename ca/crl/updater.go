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

// updater makes the lists of one issuer and keeps those in force.
type updater struct {
	p *Publisher
	a Authority

	complete, delta atomic.Pointer[List] // in force
	nudge           chan struct{}
	building        sync.Mutex // one list at a time in this process
	debounce        debounce   // used by the goroutine of run only

	mu      sync.Mutex
	waiting bool
	trouble string
	since   time.Time
	logged  time.Time // when the trouble was last logged
	said    map[bool]warning
	away    bool           // the key is kept offline
	damaged map[bool]int64 // numbers of lists in the store that are not what was signed, by kind
	took    time.Duration  // to build and publish the last list

	builds, failures uint64 // under leases of this process
}

func newUpdater(p *Publisher, a Authority) *updater {
	return &updater{p: p, a: a, nudge: make(chan struct{}, 1), said: map[bool]warning{}, damaged: map[bool]int64{}}
}

// over reports whether the CA has ended.
func (u *updater) over() bool { return !u.a.Until.IsZero() && !u.p.c.Now().Before(u.a.Until) }

// kinds gives the kinds of list the issuer has: false for complete, true for delta.
func (u *updater) kinds() []bool {
	if u.a.DeltaRenew > 0 {
		return []bool{false, true}
	}
	return []bool{false}
}

func (u *updater) slot(delta bool) *atomic.Pointer[List] {
	if delta {
		return &u.delta
	}
	return &u.complete
}

// list gives the list in force of one kind, nil when there is none.
func (u *updater) list(delta bool) *List { return u.slot(delta).Load() }

// advance puts a list in force, unless the one in force is newer, and wakes the copiers.
func (u *updater) advance(l List) {
	slot := u.slot(l.Base > 0)
	for {
		held := slot.Load()
		if held != nil && held.Number >= l.Number {
			return
		}
		if slot.CompareAndSwap(held, &l) {
			break
		}
	}
	for _, c := range u.p.copiers {
		signal(c.wake)
	}
}

// errRewound means that the store was restored while the portal ran.
var errRewound = errors.New("the records were restored from an older copy while the portal ran: restart it, " +
	"so that what was revoked since is brought back; until then no list is made")

// load takes over the lists that this or another replica published.
func (u *updater) load(ctx context.Context) error {
	for _, delta := range u.kinds() {
		have := int64(0)
		held := u.list(delta)
		if held != nil {
			have = held.Number
		}
		l, ok, err := u.p.c.Store.Latest(ctx, u.a.Name, delta, have)
		if err != nil {
			return fmt.Errorf("loading: %w", err)
		}
		if held != nil && (!ok || l.Number < have) {
			return errRewound
		}
		if ok && l.Number > have && u.isWhole(l) {
			u.advance(l)
		}
	}
	return nil
}

// isWhole verifies a list of the store and its row. One that is damaged is not served, and the
// next one is due at once.
func (u *updater) isWhole(l List) bool {
	if u.a.Certificate == nil {
		return true
	}
	err := l.Verify(u.a.Certificate)
	u.mu.Lock()
	defer u.mu.Unlock()
	delta := l.Base > 0
	if err == nil {
		delete(u.damaged, delta)
		return true
	}
	if u.damaged[delta] != l.Number {
		u.damaged[delta] = l.Number
		u.p.c.Log.Error("revocation list in the database is damaged: another is made", "issuer", u.a.Name, "number", l.Number, "err", err)
	}
	return false
}

// madeAt is when a list was made: thisUpdate is backdated.
func madeAt(l *List) time.Time { return l.ThisUpdate.Add(backdate) }

// interval is the age at which a list is renewed: at half of its life at the latest, also
// when the settings were different when it was made.
func (u *updater) interval(l *List) time.Duration {
	age := u.a.Renew
	if l.Base > 0 {
		age = u.a.DeltaRenew
	}
	return min(age, l.NextUpdate.Sub(madeAt(l))/2)
}

// next is when the next list is due by schedule.
func (u *updater) next(l *List) time.Time { return madeAt(l).Add(u.interval(l)) }

// due says which lists are to be made.
type due struct {
	complete, delta bool
	revoked         bool // a revocation is in no list yet
	forced          bool // by an administrator: make the list even if it is not due
}

func (w due) any() bool { return w.complete || w.delta }

// findDue loads the published lists and says which are due: those that are missing or
// old, or lack a revocation.
func (u *updater) findDue(ctx context.Context) (due, error) {
	if err := u.load(ctx); err != nil {
		return due{}, err
	}
	if u.over() {
		return due{}, nil
	}
	now := u.p.c.Now()
	if err := u.checkClock(now); err != nil {
		return due{}, err
	}
	deltas := u.a.DeltaRenew > 0
	revoked, err := u.p.c.Store.Unlisted(ctx, u.a.Name, deltas)
	if err != nil {
		return due{}, fmt.Errorf("looking for revocations: %w", err)
	}
	u.mu.Lock()
	u.waiting = revoked
	damaged := len(u.damaged) > 0
	u.mu.Unlock()
	w := due{revoked: revoked}
	complete, delta := u.list(false), u.list(true)
	w.complete = complete == nil || damaged || !now.Before(u.next(complete)) || revoked && !deltas
	// A delta list needs a published complete list as its base.
	w.delta = deltas && complete != nil && (delta == nil || !now.Before(u.next(delta)) || revoked || damaged)
	return w, nil
}

// checkClock refuses a clock that was set back: thisUpdate must not decrease, because a
// client that compares it would prefer the older list and accept revoked certificates.
func (u *updater) checkClock(now time.Time) error {
	for _, delta := range u.kinds() {
		l := u.list(delta)
		if l != nil && now.Before(l.ThisUpdate) {
			return fmt.Errorf("the clock says %s, before the last list of %s: check the clock; until it is past that time no list is made",
				now.UTC().Format(time.RFC3339), madeAt(l).UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// publishDue makes the lists that are due, if any.
func (u *updater) publishDue(ctx context.Context) error {
	w, err := u.findDue(ctx)
	if err == nil && w.any() {
		err = u.publish(ctx, w)
	}
	if u.keyIsAway(err) {
		err = nil
	}
	u.report(err)
	return err
}

// keyIsAway reports whether a list could not be signed because the key is kept offline,
// and an earlier list exists. That is no error.
func (u *updater) keyIsAway(err error) bool {
	away := errors.Is(err, ca.ErrNoRootKey) && u.list(false) != nil
	u.mu.Lock()
	defer u.mu.Unlock()
	u.away = away
	return away
}

// tick is how often run checks what is due. A revocation or list of another replica is
// seen after this time at the latest.
const tick = time.Second

// run makes the lists when they are due until the context ends.
func (u *updater) run(ctx context.Context) {
	for {
		wait, gathering := u.step(ctx)
		nudge := u.nudge
		if gathering {
			nudge = nil // further revocations go into the same list
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-nudge:
		}
	}
}

// step makes the lists that are due, unless it waits for more revocations, and says when
// to check again. While it waits, it still loads lists of other replicas.
func (u *updater) step(ctx context.Context) (wait time.Duration, gathering bool) {
	w, err := u.findDue(ctx)
	began := time.Now()
	if err == nil && w.any() {
		if wait := u.debounce.wait(began, w.revoked); wait > 0 {
			return min(wait, tick), true
		}
		err = u.publish(ctx, w)
	}
	if ctx.Err() != nil || errors.Is(err, ErrBusy) {
		return tick, false
	}
	if w.any() || err != nil {
		u.debounce.ended(began, time.Since(began), err != nil)
	}
	if u.keyIsAway(err) {
		err = nil
	}
	u.report(err)
	return tick, false
}

// repeatTrouble is how often an error that lasts is logged again.
const repeatTrouble = time.Hour

// report keeps an error for Health, and logs it when it is new: run retries every second,
// which would fill the log.
func (u *updater) report(err error) {
	if errors.Is(err, ErrBusy) {
		return
	}
	now := u.p.c.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		u.trouble, u.since = "", time.Time{}
		return
	}
	known := withoutDigits(err.Error()) == withoutDigits(u.trouble)
	if u.trouble == "" {
		u.since = now
	}
	u.trouble = err.Error()
	if age := now.Sub(u.logged); known && age >= 0 && age < repeatTrouble {
		return
	}
	u.logged = now
	u.p.c.Log.Error("publishing revocation list", "issuer", u.a.Name, "err", err)
}

// withoutDigits makes errors equal that differ only in a time or a number.
func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}
