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

// maxFacts bounds the certificates whose answers are in memory. One takes about
// 700 octets with its answer, so that all take 140 MB.
const maxFacts = 200_000

// fact is what is known of one certificate of the CA, and the answers made of it.
type fact struct {
	serial ca.Serial
	status Status
	asOf   time.Time // before the records were read; the thisUpdate of its answers

	due     time.Time // when to look at it again
	place   *list.Element
	used    atomic.Bool              // since it was last looked at
	answers atomic.Pointer[[]answer] // one for each way in which clients name it; never changed, only replaced
}

func newFact(serial ca.Serial, status Status, asOf time.Time) *fact {
	made := &fact{serial: serial, status: status, asOf: asOf}
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

// facts keeps what was read of the records until the ledger tells of a change. It
// keeps what is said of certificates that exist and of no others: whoever asks for
// numbers at random takes no memory.
type facts struct {
	life  time.Duration
	bound int

	mu    sync.RWMutex
	known map[ca.Serial]*fact
	order *list.List // by due

	// generation changes with everything that the ledger tells: what was read before
	// may be overtaken and is not kept.
	generation uint64
	seen       time.Time // when the end of the ledger was last seen; zero while it is not followed
}

func newFacts(life time.Duration, bound int) *facts {
	return &facts{life: life, bound: bound, known: map[ca.Serial]*fact{}, order: list.New()}
}

// find gives what is known of a certificate, unless it is too old or the clock says
// that it was read in the future. It is true at the time that is given with it: when
// the end of the ledger was last seen, for that would have told otherwise.
func (f *facts) find(serial ca.Serial, now time.Time) (held *fact, at time.Time, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	held = f.known[serial]
	if held == nil || now.Before(held.asOf) || !now.Before(held.asOf.Add(f.life)) {
		return nil, time.Time{}, false
	}
	if !held.used.Load() { // a write that all cores would wait for
		held.used.Store(true)
	}
	at = f.seen.Truncate(time.Second)
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
func (f *facts) answer(id ID, now time.Time) (answer, time.Time, bool) {
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

// mark says where the ledger was followed to, to be handed to keep.
func (f *facts) mark() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.generation
}

// keep takes a fact that was read after mark, unless the ledger moved since: the
// fact may be from before a revocation whose notice was heeded already.
func (f *facts) keep(made *fact, mark uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.generation != mark || f.seen.IsZero() {
		return false
	}
	f.remove(f.known[made.serial])
	if len(f.known) >= f.bound {
		f.remove(f.order.Front().Value.(*fact))
	}
	made.due = made.asOf.Add(f.life / 2)
	made.place = f.order.PushBack(made)
	f.known[made.serial] = made
	return true
}

// add keeps one more answer of a fact, while the fact stands.
func (f *facts) add(held *fact, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[held.serial] != held {
		return
	}
	others := slices.Clone(*held.answers.Load())
	others = append(slices.DeleteFunc(others, func(b answer) bool { return b.form == a.form }), a)
	held.answers.Store(&others)
}

// forget drops what the ledger tells of.
func (f *facts) forget(serials []ca.Serial) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	for _, serial := range serials {
		f.remove(f.known[serial])
	}
}

// forgetAll drops everything, and nothing is kept until the ledger is followed.
func (f *facts) forgetAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	f.seen = time.Time{}
	clear(f.known)
	f.order.Init()
}

// remove takes a fact out; nil is none.
func (f *facts) remove(held *fact) {
	if held == nil {
		return
	}
	delete(f.known, held.serial)
	f.order.Remove(held.place)
}

// sight notes that at a time nothing was in the ledger that is not heeded.
func (f *facts) sight(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = at
}

func (f *facts) followed() time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.seen
}

func (f *facts) size() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.known)
}

// dueBy gives the facts to be read again: of those at half of their life, and those
// at its end, the ones that were asked for since. What nobody asked for lives to
// its end and goes. Everything from the future goes, too: the clock was set back.
func (f *facts) dueBy(now time.Time, limit int) []*fact {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []*fact
	for range limit {
		front := f.order.Front()
		if front == nil {
			break
		}
		held := front.Value.(*fact)
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
func (f *facts) postpone(held *fact) {
	held.due = held.due.Add(f.life / 2)
	f.order.MoveToBack(held.place)
}

// again puts a fact that could not be read back in front.
func (f *facts) again(held *fact, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[held.serial] != held {
		return
	}
	held.used.Store(true)
	held.due = now
	f.order.MoveToFront(held.place)
}
