package drift

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/internal/portal"
)

// directoryTimeout bounds one request to the directory, in addition to the directory's
// own timeouts: a watch that hangs would go unnoticed.
const directoryTimeout = time.Minute

// errWrongAnswer says that the directory returned people it was not asked for.
var errWrongAnswer = errors.New("directory returned people it was not asked for")

// readPeople reads many people by id.
func (p *pass) readPeople(ctx context.Context, holders []CertificateHolder) (map[portal.PersonID]portal.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	ids := make([]portal.PersonID, len(holders))
	asked := make(map[portal.PersonID]bool, len(holders))
	for i, h := range holders {
		ids[i] = h.Person
		asked[h.Person] = true
	}
	answer, err := p.c.Directory.People(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading %d people: %w", len(ids), err)
	}
	people := make(map[portal.PersonID]portal.Person, len(answer))
	for _, person := range answer {
		if !asked[person.ID] {
			return nil, fmt.Errorf("reading %d people: %w", len(ids), errWrongAnswer)
		}
		// A second record of the same person is wrong too.
		asked[person.ID] = false
		people[person.ID] = person
	}
	return people, nil
}

// reread reads one person again when the first answer says that the account ended: it
// may come from a server with stale data.
func (p *pass) reread(ctx context.Context, id portal.PersonID) (portal.Person, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	person, err := p.c.Directory.Person(ctx, id)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return portal.Person{}, false, nil
	case err != nil:
		return portal.Person{}, false, fmt.Errorf("reading person %s: %w", id, err)
	case person.ID != id:
		return portal.Person{}, false, fmt.Errorf("reading person %s: %w", id, errWrongAnswer)
	}
	return person, true, nil
}

// stopFor turns an error of the directory into the reason to stop, unless the context
// ended.
func (p *pass) stopFor(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("comparing with the directory: %w", ctx.Err())
	}
	p.report.Stopped, p.report.Err, p.report.Partial = NoAnswer, err, true
	if errors.Is(err, errWrongAnswer) {
		p.report.Stopped = WrongAnswer
	}
	return nil
}
