package enroll

import (
	"context"
	"time"

	"certportal/internal/portal"
)

// refusalPause is how long after a refusal the next request of the same person waits.
// Each refusal is recorded: a few accounts that are refused without pause must not slow
// down the others.
const refusalPause = 250 * time.Millisecond

// inTurn lets one request of a person act at a time, within the time of an issuance. The
// one that was refused has its answer at once; the next one waits.
func (r *Registrar) inTurn(ctx context.Context, person portal.PersonID, act func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	leave, err := r.persons.lock(ctx, person)
	if err != nil {
		return &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	freed := false
	defer func() {
		if !freed {
			leave()
		}
	}()
	if err = act(ctx); refused(err) {
		freed = true
		time.AfterFunc(refusalPause, leave)
	}
	return err
}
