package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"certportal/internal/portal"
)

// collectBatch is how many audit entries the collector reads at once.
const collectBatch = 200

// Collect reads the next audit entries, adds their messages to the outbox and moves the
// cursor. It reports whether there may be more entries. When the directory does not
// answer, it changes nothing.
func (n *Notifier) Collect(ctx context.Context) (more bool, err error) {
	from, found, err := n.c.Store.MailEvents(ctx, collectBatch)
	if err != nil || len(found) == 0 {
		return false, n.storeResult(ctx, err)
	}
	full, err := n.queueFull(ctx)
	if err != nil || full {
		return false, err
	}
	personal, operator := n.draft(found)
	msgs, err := n.fillAddresses(ctx, personal)
	if err != nil {
		return false, err
	}
	msgs = append(n.withAddress(msgs), n.copyToOperators(operator)...)
	err = n.c.Store.EnqueueFrom(ctx, from, found[len(found)-1].Seq, msgs)
	if errors.Is(err, portal.ErrConflict) {
		return true, nil // another replica was faster
	}
	return len(found) == collectBatch, n.storeResult(ctx, err)
}

// queueFull reports whether maxWaiting messages wait.
func (n *Notifier) queueFull(ctx context.Context) (bool, error) {
	state, err := n.c.Store.MailState(ctx, maxWaiting)
	return state.Waiting >= maxWaiting, n.storeResult(ctx, err)
}

// fillAddresses sets name and address from the directory. The address stays empty for
// people who are unknown, whose account ended or cannot be read, or who have no usable
// address.
func (n *Notifier) fillAddresses(ctx context.Context, msgs []Message) ([]Message, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	var ids []portal.PersonID
	for _, l := range msgs {
		ids = append(ids, l.Person)
	}
	slices.Sort(ids)
	people, err := n.c.Directory.People(ctx, slices.Compact(ids))
	var unread *portal.UnreadableError
	if errors.As(err, &unread) {
		n.c.Log.Warn("people cannot be read and get no mail", "err", err)
		err = nil
	}
	if err != nil {
		if ctx.Err() == nil {
			n.health.fails(partDirectory, err)
		}
		return nil, fmt.Errorf("reading recipients: %w", err)
	}
	n.health.works(partDirectory)
	known := make(map[portal.PersonID]portal.Person, len(people))
	for _, p := range people {
		known[p.ID] = p
	}
	for i := range msgs {
		p, ok := known[msgs[i].Person]
		if !ok || p.Disabled || p.Expired || !Deliverable(p.Mail) {
			continue
		}
		msgs[i].To, msgs[i].Params.Name = p.Mail, p.Name
	}
	return msgs, nil
}

// withAddress drops messages without an address.
func (n *Notifier) withAddress(msgs []Message) []Message {
	return slices.DeleteFunc(msgs, func(l Message) bool { return l.To == "" })
}

// copyToOperators makes a copy of each message for each operator.
func (n *Notifier) copyToOperators(msgs []Message) []Message {
	var copies []Message
	for _, l := range msgs {
		for _, address := range n.c.Operators {
			one := l
			one.ID, one.Key, one.To = rand.Text(), l.Key+":"+address, address
			copies = append(copies, one)
		}
	}
	return copies
}

// newMessage returns a message with a new id.
func (n *Notifier) newMessage(kind Kind, key string) Message {
	return Message{ID: rand.Text(), Key: key, Kind: kind, Made: n.c.Now()}
}
