package ocsp

import (
	"context"
	"errors"
	"slices"
	"time"

	"certportal/ca"
)

// errLater means that the request is answered with tryLater.
var errLater = errors.New("not now")

// cached is a cached status and a time at which it was current.
type cached struct {
	*cachedStatus
	at time.Time
}

// sign makes the answer to a request. It caches the answer for a single certificate
// without a nonce.
func (r *Responder) sign(ctx context.Context, req Request) (Answer, error) {
	found := make([]cached, len(req.IDs))
	for i, id := range req.IDs {
		var err error
		if found[i], err = r.find(ctx, id); err != nil {
			return Answer{}, err
		}
	}
	if !enter(ctx, r.signing) {
		return Answer{}, errLater
	}
	defer leave(r.signing)
	now := r.c.Now()
	by, ok := r.signer(now)
	if !ok {
		return Answer{}, errLater
	}
	if len(found) == 1 && req.Nonce == nil {
		held := found[0].cachedStatus
		made, err := r.make(held, req.IDs[0], by, now)
		return Answer{wrap(made.body, by.certs), held.asOf, made.next}, err
	}
	singles := make([]single, len(found))
	for i, f := range found {
		singles[i] = r.single(f.status, req.IDs[i], f.at, by)
	}
	body, err := by.sign(singles, req.Nonce, now)
	if err != nil {
		return Answer{}, err
	}
	if req.Nonce != nil {
		return Answer{DER: wrap(body, by.certs)}, nil
	}
	return Answer{wrap(body, by.certs), latest(singles), soonest(singles)}, nil
}

// signer gives the signer, false when there is none or it must not sign: an answer that is
// dated ahead says good after its certificate was revoked.
func (r *Responder) signer(now time.Time) (*signer, bool) {
	if r.c.Hold != nil && r.c.Hold() != nil {
		return nil, false
	}
	return r.signers.use(now)
}

// make signs the answer of one form and caches it with its status.
func (r *Responder) make(held *cachedStatus, id ID, by *signer, now time.Time) (answer, error) {
	one := r.single(held.status, id, held.asOf, by)
	body, err := by.sign([]single{one}, nil, now)
	if err != nil {
		return answer{}, err
	}
	made := answer{form: id.form, body: body, by: by, next: one.nextUpdate}
	r.cache.addAnswer(held, made)
	return made, nil
}

// single makes the SingleResponse of a status that was current at a time. Its nextUpdate
// is not after the end of the signer.
func (r *Responder) single(status Status, id ID, at time.Time, by *signer) single {
	life := r.c.Life
	if status.State == Unknown {
		life = min(life, unknownLife)
	}
	next := at.Add(life)
	if next.After(by.cert.NotAfter) {
		next = by.cert.NotAfter
	}
	return single{id: id.raw, status: status, thisUpdate: at, nextUpdate: next}
}

// find gives the status of a certificate, from memory or from the store.
func (r *Responder) find(ctx context.Context, id ID) (cached, error) {
	now := r.c.Now()
	if id.Serial.IsZero() {
		made := newCachedStatus(id.Serial, Status{}, now.Truncate(time.Second))
		return cached{made, made.asOf}, nil
	}
	if held, at, ok := r.cache.find(id.Serial, now); ok {
		return cached{held, at}, nil
	}
	// While the store is down, clients do not wait for it.
	if text, _ := r.following.tell(); text != "" {
		return cached{}, errLater
	}
	if !enter(ctx, r.reading) {
		return cached{}, errLater
	}
	defer leave(r.reading)
	// A request that waited may find the status that the previous one read.
	if held, at, ok := r.cache.find(id.Serial, r.c.Now()); ok {
		return cached{held, at}, nil
	}
	made, err := r.read(ctx, id.Serial)
	if err != nil {
		return cached{}, err
	}
	made.used.Store(true)
	if made.status.State != Unknown {
		r.cache.ask(made, now)
	}
	return cached{made, made.asOf}, nil
}

// rereads is how often a status is read when the audit log moves during the read.
const rereads = 3

// read reads a status from the store and caches it, unless it is unknown.
func (r *Responder) read(ctx context.Context, serial ca.Serial) (made *cachedStatus, err error) {
	for range rereads {
		mark, asOf := r.cache.currentGeneration(), r.c.Now().Truncate(time.Second)
		status, err := r.c.Store.Status(ctx, serial)
		if err != nil {
			r.note(ctx, r.records, "reading the records for OCSP", err)
			return nil, errLater
		}
		if status.Issuer != "" && status.Issuer != r.c.Name && status.State != Revoked {
			status = Status{} // of another authority; nothing makes a revoked serial unknown
		}
		made = newCachedStatus(serial, status, asOf)
		if status.State == Unknown || r.cache.store(made, mark) {
			break
		}
	}
	r.records.over()
	return made, nil
}

// renew reads the statuses that are due again and signs their answers anew. It stops at
// the first error, which would recur for the rest.
func (r *Responder) renew(ctx context.Context) error {
	for _, old := range r.cache.dueBy(r.c.Now(), renewals) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.renewOne(ctx, old); err != nil {
			r.cache.retryFirst(old, r.c.Now())
			return err
		}
	}
	return nil
}

func (r *Responder) renewOne(ctx context.Context, old *cachedStatus) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now := r.c.Now()
	by, ok := r.signer(now)
	if !ok {
		return errLater
	}
	made, err := r.read(ctx, old.serial)
	if err != nil {
		return err
	}
	for _, a := range *old.answers.Load() {
		id, err := r.issuer.asked(a.form, old.serial)
		if err != nil {
			return err
		}
		if _, err := r.make(made, id, by, r.c.Now()); err != nil {
			return err
		}
	}
	return nil
}

// enter acquires a place in the semaphore, and reports whether it got one before the
// context ended.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func leave(places chan struct{}) { <-places }

func latest(singles []single) time.Time {
	return slices.MaxFunc(singles, func(a, b single) int { return a.thisUpdate.Compare(b.thisUpdate) }).thisUpdate
}

func soonest(singles []single) time.Time {
	return slices.MinFunc(singles, func(a, b single) int { return a.nextUpdate.Compare(b.nextUpdate) }).nextUpdate
}
