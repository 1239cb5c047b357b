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

// answer is what the directory says about one holder.
type answer struct {
	person portal.Person
	known  bool
	unread error // the account exists and cannot be read: its state is unknown
}

// change returns how the account ended, or that this is unknown; empty when it is valid.
func (a answer) change() portal.Change {
	if a.unread != nil {
		return portal.AccountUnread
	}
	return accountChange(a.person, a.known)
}

// readPeople reads many people by id. The result lacks those that the directory does not
// know.
func (p *pass) readPeople(ctx context.Context, holders []CertificateHolder) (map[portal.PersonID]answer, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	ids := make([]portal.PersonID, len(holders))
	asked := make(map[portal.PersonID]bool, len(holders))
	for i, h := range holders {
		ids[i] = h.Person
		asked[h.Person] = true
	}
	found, err := p.c.Directory.People(ctx, ids)
	var unread *portal.UnreadableError
	if err != nil && !errors.As(err, &unread) {
		return nil, fmt.Errorf("reading %d people: %w", len(ids), err)
	}
	people := make(map[portal.PersonID]answer, len(found))
	for _, h := range holders {
		if err := unread.Of(h.Person); err != nil {
			people[h.Person] = answer{unread: err}
			asked[h.Person] = false
		}
	}
	for _, person := range found {
		if !asked[person.ID] {
			return nil, fmt.Errorf("reading %d people: %w", len(ids), errWrongAnswer)
		}
		// A second record of the same person is wrong too.
		asked[person.ID] = false
		people[person.ID] = answer{person: person, known: true}
	}
	return people, nil
}

// reread reads one person again before the first answer leads to a revocation: it may come
// from a server with stale data. Of a person whose groups cannot be read, the
// state of the account is enough.
func (p *pass) reread(ctx context.Context, id portal.PersonID) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	person, err := p.c.Directory.Person(ctx, id)
	var unread *portal.UnreadableError
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return answer{}, nil
	case errors.As(err, &unread):
		return p.rereadState(ctx, id, err)
	case err != nil:
		return answer{}, fmt.Errorf("reading person %s: %w", id, err)
	case person.ID != id:
		return answer{}, fmt.Errorf("reading person %s: %w", id, errWrongAnswer)
	}
	return answer{person: person, known: true}, nil
}

// rereadState reads names and state of one person, without groups. The person is known
// to exist.
func (p *pass) rereadState(ctx context.Context, id portal.PersonID, cause error) (answer, error) {
	found, err := p.readPeople(ctx, []CertificateHolder{{Person: id}})
	if err != nil {
		return answer{}, err
	}
	if a, ok := found[id]; ok {
		a.person.Protected = a.person.Protected || p.protected[id]
		return a, nil
	}
	return answer{unread: cause}, nil
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
