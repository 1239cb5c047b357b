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

// maxCached bounds the certificates in the cache. One takes about 700 octets with its
// answer, all together 140 MB.
const maxCached = 200_000

// cachedStatus is the status of one certificate and the answers made from it.
type cachedStatus struct {
	serial ca.Serial
	status Status
	asOf   time.Time // before the store was read; the thisUpdate of its answers

	due     time.Time // when dueBy considers it next
	element *list.Element
	used    atomic.Bool              // requested since dueBy considered it
	asked   atomic.Int64             // last question that was noted, in seconds since 1970
	answers atomic.Pointer[[]answer] // one for each form; the slice is replaced, never changed
}

func newCachedStatus(serial ca.Serial, status Status, asOf time.Time) *cachedStatus {
	made := &cachedStatus{serial: serial, status: status, asOf: asOf}
	made.answers.Store(new([]answer))
	return made
}

// answer is a signed body, see signer.sign.
type answer struct {
	form form
	body []byte
	by   *signer
	next time.Time // nextUpdate
}

// form is how a CertID names a certificate: requests with the same form and serial get the
// same answer.
type form struct {
	hash crypto.Hash
	null bool // the parameters of the hash are NULL, not absent
}

// statusCache keeps statuses and answers until the audit log has a change of their
// certificate. It keeps no unknown serials, so that requests for random numbers use no
// memory.
type statusCache struct {
	life  time.Duration
	bound int
	asked questions

	mu    sync.RWMutex
	known map[ca.Serial]*cachedStatus
	order *list.List // by due

	// generation increases with every change in the audit log: a status that was read
	// before may be stale and is not stored.
	generation uint64
	seenAt     time.Time // when the audit log was last read to its end; zero while it is not followed
}

func newStatusCache(life time.Duration, bound int) *statusCache {
	return &statusCache{life: life, bound: bound, known: map[ca.Serial]*cachedStatus{}, order: list.New()}
}

// find gives the status of a certificate, unless it is too old or, after a step of the
// clock, from the future. at is a time at which the status was current: when the audit
// log was last read to its end without a change of it.
func (c *statusCache) find(serial ca.Serial, now time.Time) (held *cachedStatus, at time.Time, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	held = c.known[serial]
	if held == nil || now.Before(held.asOf) || !now.Before(held.asOf.Add(c.life)) {
		return nil, time.Time{}, false
	}
	if !held.used.Load() { // avoids a write to a shared cache line
		held.used.Store(true)
	}
	c.ask(held, now)
	at = c.seenAt.Truncate(time.Second)
	if at.After(now) { // the clock was set back
		at = now.Truncate(time.Second)
	}
	if at.Before(held.asOf) {
		at = held.asOf
	}
	return held, at, true
}

// answer gives the cached answer of a form and its thisUpdate, unless it has expired.
func (c *statusCache) answer(id ID, now time.Time) (answer, time.Time, bool) {
	held, _, ok := c.find(id.Serial, now)
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

// currentGeneration gives the generation to be passed to store after a read.
func (c *statusCache) currentGeneration() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.generation
}

// store caches a status that was read after mark, a generation, unless the generation
// changed since: the status may be from before a revocation that was already processed.
func (c *statusCache) store(made *cachedStatus, mark uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != mark || c.seenAt.IsZero() {
		return false
	}
	if old := c.known[made.serial]; old != nil {
		made.asked.Store(old.asked.Load())
		c.remove(old)
	}
	if len(c.known) >= c.bound {
		c.remove(c.order.Front().Value.(*cachedStatus))
	}
	made.due = made.asOf.Add(c.life / 2)
	made.element = c.order.PushBack(made)
	c.known[made.serial] = made
	return true
}

// addAnswer caches an answer, unless its status was dropped.
func (c *statusCache) addAnswer(held *cachedStatus, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[held.serial] != held {
		return
	}
	others := slices.Clone(*held.answers.Load())
	others = append(slices.DeleteFunc(others, func(b answer) bool { return b.form == a.form }), a)
	held.answers.Store(&others)
}

// drop removes the certificates that the audit log has a change of.
func (c *statusCache) drop(serials []ca.Serial) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for _, serial := range serials {
		c.remove(c.known[serial])
	}
}

// dropAll empties the cache, and store does nothing until the audit log is followed again.
func (c *statusCache) dropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.seenAt = time.Time{}
	clear(c.known)
	c.order.Init()
}

// remove removes a status; nil is allowed.
func (c *statusCache) remove(held *cachedStatus) {
	if held == nil {
		return
	}
	delete(c.known, held.serial)
	c.order.Remove(held.element)
}

// markSeen records that all entries of the audit log up to a time are processed.
func (c *statusCache) markSeen(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seenAt = at
}

func (c *statusCache) followed() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.seenAt
}

func (c *statusCache) size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.known)
}

// dueBy gives the statuses to be read again: those at half or at the end of their life
// that were requested since. The others are removed at the end of their life. A status
// from the future, after the clock was set back, is removed too.
func (c *statusCache) dueBy(now time.Time, limit int) []*cachedStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	var due []*cachedStatus
	for range limit {
		front := c.order.Front()
		if front == nil {
			break
		}
		held := front.Value.(*cachedStatus)
		switch {
		case held.asOf.After(now):
			c.remove(held)
		case held.due.After(now):
			return due
		case held.used.Swap(false):
			due = append(due, held)
			c.postpone(held)
		case !now.Before(held.asOf.Add(c.life)):
			c.remove(held)
		default:
			c.postpone(held)
		}
	}
	return due
}

// postpone moves a status to the end of the order. That keeps the order by due: a status
// that is stored now is due after half of its life, too.
func (c *statusCache) postpone(held *cachedStatus) {
	held.due = held.due.Add(c.life / 2)
	c.order.MoveToBack(held.element)
}

// retryFirst moves a status that could not be read to the front.
func (c *statusCache) retryFirst(held *cachedStatus, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[held.serial] != held {
		return
	}
	held.used.Store(true)
	held.due = now
	c.order.MoveToFront(held.element)
}
