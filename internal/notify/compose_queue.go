package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"certportal/internal/portal"
)

// readAtOnce is how many entries of the ledger the clerk reads at a time.
const readAtOnce = 200

// Collect reads what happened since it last did, and puts letters about it out. It
// reports whether there may be more. When the directory does not answer nothing
// is written, and the clerk stays where it is.
func (o *Office) Collect(ctx context.Context) (more bool, err error) {
	from, found, err := o.c.Outbox.Happenings(ctx, readAtOnce)
	if err != nil || len(found) == 0 {
		return false, o.stored(ctx, err)
	}
	full, err := o.full(ctx)
	if err != nil || full {
		return false, err
	}
	personal, general := o.draft(found)
	letters, err := o.address(ctx, personal)
	if err != nil {
		return false, err
	}
	letters = append(o.deliverable(letters), o.toOperators(general)...)
	err = o.c.Outbox.Post(ctx, from, found[len(found)-1].Seq, letters)
	if errors.Is(err, portal.ErrConflict) {
		return true, nil // another replica was faster
	}
	return len(found) == readAtOnce, o.stored(ctx, err)
}

// full reports whether as many letters wait as may.
func (o *Office) full(ctx context.Context) (bool, error) {
	state, err := o.c.Outbox.Sending(ctx, maxWaiting)
	return state.Waiting >= maxWaiting, o.stored(ctx, err)
}

// address fills in the name and address that the directory gives now. Letters to
// people it does not know, whose account has ended or who have no usable address
// keep an empty one.
func (o *Office) address(ctx context.Context, letters []Letter) ([]Letter, error) {
	if len(letters) == 0 {
		return nil, nil
	}
	var ids []portal.PersonID
	for _, l := range letters {
		ids = append(ids, l.Person)
	}
	slices.Sort(ids)
	people, err := o.c.Directory.People(ctx, slices.Compact(ids))
	if err != nil {
		if ctx.Err() == nil {
			o.health.fails(partDirectory, err)
		}
		return nil, fmt.Errorf("reading whom to write to: %w", err)
	}
	o.health.works(partDirectory)
	known := make(map[portal.PersonID]portal.Person, len(people))
	for _, p := range people {
		known[p.ID] = p
	}
	for i := range letters {
		p, ok := known[letters[i].Person]
		if !ok || p.Disabled || p.Expired || !Deliverable(p.Mail) {
			continue
		}
		letters[i].To, letters[i].Facts.Name = p.Mail, p.Name
	}
	return letters, nil
}

// deliverable leaves out letters without an address.
func (o *Office) deliverable(letters []Letter) []Letter {
	return slices.DeleteFunc(letters, func(l Letter) bool { return l.To == "" })
}

// toOperators makes a copy of each letter for each operator.
func (o *Office) toOperators(letters []Letter) []Letter {
	var copies []Letter
	for _, l := range letters {
		for _, address := range o.c.Operators {
			one := l
			one.ID, one.Key, one.To = rand.Text(), l.Key+":"+address, address
			copies = append(copies, one)
		}
	}
	return copies
}

// letter begins a letter.
func (o *Office) letter(kind Kind, key string) Letter {
	return Letter{ID: rand.Text(), Key: key, Kind: kind, Made: o.c.Now()}
}
