package enroll

import (
	"context"
	"errors"
	"time"

	"certportal/internal/portal"
)

const (
	// obstacleWithin is how long a page waits for the directory before it offers what it
	// cannot know.
	obstacleWithin = 400 * time.Millisecond
	// obstaclePause is how long no page asks after one has waited in vain: each that waits
	// holds one of the few connections that sign-ins need.
	obstaclePause = 30 * time.Second
)

var errNotAsked = errors.New("not asked: the directory did not answer a page in time")

// Obstacle is what a page asks before it offers a certificate: nil, or the *Refusal of
// the first thing in the person's way. The device is empty for a new one. What does not
// answer in time is no obstacle, because the request for the certificate decides.
func (r *Registrar) Obstacle(ctx context.Context, id portal.PersonID, device portal.DeviceID) error {
	err := r.obstacle(ctx, id, device)
	if errors.Is(err, errNotAsked) {
		return nil
	}
	if err != nil && !refused(err) {
		r.c.Log.Warn("page offers a certificate without knowing whether the person may have one", "person", id, "err", err)
		return nil
	}
	return err
}

func (r *Registrar) obstacle(ctx context.Context, id portal.PersonID, device portal.DeviceID) error {
	person, directoryErr := r.judgedSoon(ctx, id)
	if refused(directoryErr) {
		return directoryErr
	}
	if directoryErr == nil {
		if err := r.fits(person); err != nil {
			return err
		}
	}
	err := r.c.Store.Admit(ctx, Reservation{
		Person: id, Device: portal.Device{ID: device}, Quota: r.c.Quota, Requested: r.c.Now(),
	})
	if err != nil {
		return err
	}
	return directoryErr
}

// judgedSoon is judged for a page, which does not wait long.
func (r *Registrar) judgedSoon(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	if r.c.Now().UnixNano() < r.pagesAskFrom.Load() {
		return portal.Person{}, errNotAsked
	}
	// Canceled and not timed out: that a page did not wait says nothing about the server.
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(obstacleWithin, cancel).Stop()
	person, err := r.judged(asked, id)
	if asked.Err() != nil && ctx.Err() == nil {
		r.pagesAskFrom.Store(r.c.Now().Add(obstaclePause).UnixNano())
	}
	return person, err
}
