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
const collectBatch = 200

// Collect reads what happened since it last did, and puts letters about it out. It
// reports whether there may be more. When the directory does not answer nothing
// is written, and the clerk stays where it is.
func (o *Notifier) Collect(ctx context.Context) (more bool, err error) {
	from, found, err := o.c.Store.MailEvents(ctx, collectBatch)
	if err != nil || len(found) == 0 {
		return false, o.storeResult(ctx, err)
	}
	full, err := o.queueFull(ctx)
	if err != nil || full {
		return false, err
	}
	personal, general := o.draft(found)
	letters, err := o.fillAddresses(ctx, personal)
	if err != nil {
		return false, err
	}
	letters = append(o.withAddress(letters), o.copyToOperators(general)...)
	err = o.c.Store.EnqueueFrom(ctx, from, found[len(found)-1].Seq, letters)
	if errors.Is(err, portal.ErrConflict) {
		return true, nil // another replica was faster
	}
	return len(found) == collectBatch, o.storeResult(ctx, err)
}

// full reports whether as many letters wait as may.
func (o *Notifier) queueFull(ctx context.Context) (bool, error) {
	state, err := o.c.Store.MailState(ctx, maxWaiting)
	return state.Waiting >= maxWaiting, o.storeResult(ctx, err)
}

// address fills in the name and address that the directory gives now. Letters to
// people it does not know, whose account has ended or who have no usable address
// keep an empty one.
func (o *Notifier) fillAddresses(ctx context.Context, letters []Message) ([]Message, error) {
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
		letters[i].To, letters[i].Params.Name = p.Mail, p.Name
	}
	return letters, nil
}

// deliverable leaves out letters without an address.
func (o *Notifier) withAddress(letters []Message) []Message {
	return slices.DeleteFunc(letters, func(l Message) bool { return l.To == "" })
}

// toOperators makes a copy of each letter for each operator.
func (o *Notifier) copyToOperators(letters []Message) []Message {
	var copies []Message
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
func (o *Notifier) newMessage(kind Kind, key string) Message {
	return Message{ID: rand.Text(), Key: key, Kind: kind, Made: o.c.Now()}
}
