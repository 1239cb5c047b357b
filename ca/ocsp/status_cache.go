package ocsp

import (
	"container/list"
	"crypto"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"certportal/ca"
)

// maxCached bounds the certificates whose answers are in memory. One takes about
// 700 octets with its answer, so that all take 140 MB.
const maxCached = 200_000

// cachedStatus is what is known of one certificate of the CA, and the answers made of it.
type cachedStatus struct {
	serial ca.Serial
	status Status
	asOf   time.Time // before the records were read; the thisUpdate of its answers

	due     time.Time // when to look at it again
	element *list.Element
	used    atomic.Bool              // since it was last looked at
	answers atomic.Pointer[[]answer] // one for each way in which clients name it; never changed, only replaced
}

func newCachedStatus(serial ca.Serial, status Status, asOf time.Time) *cachedStatus {
	made := &cachedStatus{serial: serial, status: status, asOf: asOf}
	made.answers.Store(new([]answer))
	return made
}

// answer is a signed part, see signer.sign.
type answer struct {
	form form
	body []byte
	by   *signer
	next time.Time // nextUpdate
}

// form is how a client names a certificate: two requests of one form and serial
// have the same answer.
type form struct {
	hash crypto.Hash
	null bool // the parameters of the hash are NULL and not absent
}

// facts keeps what was read of the records until the audit log tells of a change. It
// keeps what is said of certificates that exist and of no others: whoever asks for
// numbers at random takes no memory.
type statusCache struct {
	life  time.Duration
	bound int

	mu    sync.RWMutex
	known map[ca.Serial]*cachedStatus
	order *list.List // by due

	// generation changes with everything that the audit log tells: what was read before
	// may be overtaken and is not kept.
	generation uint64
	seenAt     time.Time // when the end of the audit log was last seen; zero while it is not followed
}

func newStatusCache(life time.Duration, bound int) *statusCache {
	return &statusCache{life: life, bound: bound, known: map[ca.Serial]*cachedStatus{}, order: list.New()}
}

// find gives what is known of a certificate, unless it is too old or the clock says
// that it was read in the future. It is true at the time that is given with it: when
// the end of the audit log was last seen, for that would have told otherwise.
func (f *statusCache) find(serial ca.Serial, now time.Time) (held *cachedStatus, at time.Time, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	held = f.known[serial]
	if held == nil || now.Before(held.asOf) || !now.Before(held.asOf.Add(f.life)) {
		return nil, time.Time{}, false
	}
	if !held.used.Load() { // a write that all cores would wait for
		held.used.Store(true)
	}
	at = f.seenAt.Truncate(time.Second)
	if at.After(now) { // the clock was set back
		at = now.Truncate(time.Second)
	}
	if at.Before(held.asOf) {
		at = held.asOf
	}
	return held, at, true
}

// answer gives the answer of a form, when it is kept and still good, and its
// thisUpdate.
func (f *statusCache) answer(id ID, now time.Time) (answer, time.Time, bool) {
	held, _, ok := f.find(id.Serial, now)
	if !ok {
		return answer{}, time.Time{}, false
	}
	for _, a := range *held.answers.Load() {
		if a.form == id.form && now.Before(a.next) {
			return a, held.asOf, true
		}
	}
	return answer{}, time.Time{}, false
}

// currentGeneration says where the audit log was followed to, to be handed to keep.
func (f *statusCache) currentGeneration() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.generation
}

// store takes a fact that was read after mark, unless the audit log moved since: the
// fact may be from before a revocation whose notice was heeded already.
func (f *statusCache) store(made *cachedStatus, mark uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.generation != mark || f.seenAt.IsZero() {
		return false
	}
	f.remove(f.known[made.serial])
	if len(f.known) >= f.bound {
		f.remove(f.order.Front().Value.(*cachedStatus))
	}
	made.due = made.asOf.Add(f.life / 2)
	made.element = f.order.PushBack(made)
	f.known[made.serial] = made
	return true
}

// addAnswer keeps one more answer of a fact, while the fact stands.
func (f *statusCache) addAnswer(held *cachedStatus, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[held.serial] != held {
		return
	}
	others := slices.Clone(*held.answers.Load())
	others = append(slices.DeleteFunc(others, func(b answer) bool { return b.form == a.form }), a)
	held.answers.Store(&others)
}

// drop drops what the audit log tells of.
func (f *statusCache) drop(serials []ca.Serial) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	for _, serial := range serials {
		f.remove(f.known[serial])
	}
}

// dropAll drops everything, and nothing is kept until the audit log is followed.
func (f *statusCache) dropAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	f.seenAt = time.Time{}
	clear(f.known)
	f.order.Init()
}

// remove takes a fact out; nil is none.
func (f *statusCache) remove(held *cachedStatus) {
	if held == nil {
		return
	}
	delete(f.known, held.serial)
	f.order.Remove(held.element)
}

// markSeen notes that at a time nothing was in the audit log that is not heeded.
func (f *statusCache) markSeen(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seenAt = at
}

func (f *statusCache) followed() time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.seenAt
}

func (f *statusCache) size() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.known)
}

// dueBy gives the facts to be read again: of those at half of their life, and those
// at its end, the ones that were asked for since. What nobody asked for lives to
// its end and goes. Everything from the future goes, too: the clock was set back.
func (f *statusCache) dueBy(now time.Time, limit int) []*cachedStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []*cachedStatus
	for range limit {
		front := f.order.Front()
		if front == nil {
			break
		}
		held := front.Value.(*cachedStatus)
		switch {
		case held.asOf.After(now):
			f.remove(held)
		case held.due.After(now):
			return due
		case held.used.Swap(false):
			due = append(due, held)
			f.postpone(held)
		case !now.Before(held.asOf.Add(f.life)):
			f.remove(held)
		default:
			f.postpone(held)
		}
	}
	return due
}

// postpone puts a fact behind all others. That keeps their order: half of a life
// after this moment is when what is read at this moment is due.
func (f *statusCache) postpone(held *cachedStatus) {
	held.due = held.due.Add(f.life / 2)
	f.order.MoveToBack(held.element)
}

// retryFirst puts a fact that could not be read back in front.
func (f *statusCache) retryFirst(held *cachedStatus, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[held.serial] != held {
		return
	}
	held.used.Store(true)
	held.due = now
	f.order.MoveToFront(held.element)
}
