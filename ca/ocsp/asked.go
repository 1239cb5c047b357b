package ocsp

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"certportal/ca"
)

const (
	// AskedEvery is how often a question about one certificate is noted: the last
	// question may be as much later than it is known.
	AskedEvery = time.Hour

	// noteEvery is how often what was asked is written to the store.
	noteEvery = time.Minute

	// noteBatch bounds the certificates of one transaction, maxAsked those that wait for
	// it. What exceeds that is noted with a later question.
	noteBatch = 500
	maxAsked  = 20_000
)

// Asked is a question about a certificate. It has no sender: anyone can ask, so that it is
// a hint for the helpdesk and no proof.
type Asked struct {
	Serial ca.Serial
	At     time.Time
}

// questions are those that wait to be written. An answer never waits for the store.
type questions struct {
	mu      sync.Mutex
	waiting map[ca.Serial]time.Time
}

func (q *questions) add(serial ca.Serial, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == nil {
		q.waiting = map[ca.Serial]time.Time{}
	}
	if len(q.waiting) < maxAsked && at.After(q.waiting[serial]) {
		q.waiting[serial] = at
	}
}

// take removes all questions and returns them by serial, the order in which all replicas
// lock rows.
func (q *questions) take() []Asked {
	q.mu.Lock()
	waiting := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	var taken []Asked
	for serial, at := range waiting {
		taken = append(taken, Asked{serial, at})
	}
	slices.SortFunc(taken, func(a, b Asked) int { return a.Serial.Compare(b.Serial) })
	return taken
}

// ask notes a question about the certificate, unless the last one noted is newer than
// AskedEvery.
func (c *statusCache) ask(held *cachedStatus, now time.Time) {
	last, at := held.asked.Load(), now.Unix()
	if at-last >= int64(AskedEvery/time.Second) && held.asked.CompareAndSwap(last, at) {
		c.asked.add(held.serial, now)
	}
}

// writeQuestions writes what was asked to the store. What cannot be written waits for the
// next time.
func (r *Responder) writeQuestions(ctx context.Context) error {
	all := r.cache.asked.take()
	for len(all) > 0 {
		batch := all[:min(noteBatch, len(all))]
		err := r.c.Store.NoteAsked(ctx, batch)
		r.note(ctx, r.asking, "noting questions about certificates", err)
		if err != nil {
			for _, a := range all {
				r.cache.asked.add(a.Serial, a.At)
			}
			return fmt.Errorf("noting questions about certificates: %w", err)
		}
		all = all[len(batch):]
	}
	return nil
}
