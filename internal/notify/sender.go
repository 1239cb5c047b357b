package notify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"certportal/internal/audit"
)

const (
	// sendAtOnce is how many letters go over one connection.
	batchSize = 20

	// lease is how long letters belong to the postman who claimed them. It is
	// longer than all of them can take; after a crash another one waits for it.
	claimFor = 15 * time.Minute

	// maxWhy bounds what is kept of a server's answer, in characters.
	maxReason = 200
)

// pauses are the times between the eight tries of a letter that a server puts off:
// a day in all but an hour.
func retryDelays() []time.Duration {
	return []time.Duration{
		5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	}
}

// quiet is how long a server that takes no mail is left alone.
func backoff(failures int) time.Duration {
	steps := []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}
	return steps[min(failures, len(steps)-1)]
}

// Deliver sends what is due. A server that takes no mail at all ends it: the
// letters stay as they were, and the server is left alone for a while.
func (o *Notifier) Deliver(ctx context.Context) error {
	if o.backingOff() {
		return nil
	}
	for {
		now := o.c.Now()
		letters, err := o.c.Store.ClaimMessages(ctx, now, now.Add(claimFor), batchSize)
		if err != nil || len(letters) == 0 {
			return o.storeResult(ctx, err)
		}
		left, sendErr := o.deliverBatch(ctx, letters)
		// The end of the program must not leave letters claimed.
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err = o.finishBatch(keep, ctx, left, sendErr)
		cancel()
		if err != nil || sendErr != nil {
			return err
		}
	}
}

// back releases what was not sent, and notes how the server is.
func (o *Notifier) finishBatch(keep, asked context.Context, left []Message, sendErr error) error {
	if len(left) > 0 {
		if err := o.storeResult(keep, o.c.Store.ReleaseMessages(keep, left)); err != nil {
			return err
		}
	}
	if sendErr == nil || asked.Err() != nil {
		return sendErr
	}
	o.backOff()
	o.health.fails(partServer, sendErr)
	why := truncate(sendErr.Error())
	if err := o.storeResult(keep, o.c.Store.MailServerDown(keep, o.c.Now(), why)); err != nil {
		return err
	}
	return sendErr
}

// round sends letters over one connection and returns those that were not tried.
// An error says that the server takes no mail at all.
func (o *Notifier) deliverBatch(ctx context.Context, letters []Message) (left []Message, err error) {
	stale := o.c.Now().Add(-GiveUpAfter)
	var due []Message
	for _, l := range letters {
		if l.Made.Before(stale) {
			if err := o.giveUp(ctx, l, "it waited too long"); err != nil {
				return letters, err
			}
			continue
		}
		due = append(due, l)
	}
	if len(due) == 0 {
		return nil, nil
	}
	line, err := o.c.Server.dial(ctx)
	if err != nil {
		return due, err
	}
	defer line.close()
	for n, l := range due {
		if ctx.Err() != nil {
			return due[n:], ctx.Err()
		}
		if tried, err := o.send(ctx, line, l); err != nil {
			if tried {
				n++
			}
			return due[n:], err
		}
	}
	return nil, nil
}

// hand gives one letter to the server and closes or delays it by the answer. It
// reports whether the letter is dealt with; an error is of the server or the
// outbox, not of the letter.
func (o *Notifier) send(ctx context.Context, line *smtpConn, l Message) (dealt bool, err error) {
	message, err := o.composer.mail(l, o.c.Server.from, o.c.Now())
	if err != nil {
		return true, o.giveUp(ctx, l, err.Error())
	}
	answer, sendErr := line.send(message)
	if answer == accepted || answer == rejected || answer == deferred {
		if err := o.serverAnswered(ctx); err != nil {
			return false, err
		}
	}
	switch answer {
	case accepted:
		return true, o.storeResult(ctx, o.c.Store.MarkSent(ctx, l, o.c.Now()))
	case rejected:
		return true, o.giveUp(ctx, l, sendErr.Error())
	case deferred:
		return true, o.postpone(ctx, l, sendErr)
	case unknown:
		// The connection ended after the text went out: perhaps it arrived. Without
		// counting, a letter that a server chokes on would be sent forever.
		if err := o.postpone(ctx, l, sendErr); err != nil {
			return false, err
		}
		return true, sendErr
	}
	return false, sendErr
}

// putOff lets a letter wait for its next try, or gives it up after the last.
func (o *Notifier) postpone(ctx context.Context, l Message, why error) error {
	if l.Tries >= len(retryDelays()) {
		return o.giveUp(ctx, l, why.Error())
	}
	next := o.c.Now().Add(retryDelays()[l.Tries])
	return o.storeResult(ctx, o.c.Store.Postpone(ctx, l, next, truncate(why.Error())))
}

// giveUp closes a letter that will not arrive, and says so in the ledger.
func (o *Notifier) giveUp(ctx context.Context, l Message, why string) error {
	why = truncate(why)
	o.c.Log.Warn("letter given up", "letter", l.ID, "kind", string(l.Kind), "person", string(l.Person), "why", why)
	now := o.c.Now()
	return o.storeResult(ctx, o.c.Store.GiveUpMessage(ctx, l, now, why, audit.Entry{
		At: now, Action: audit.MailFailed, Actor: bySystem, Role: bySystem, Person: string(l.Person), Object: l.ID,
		Detail: map[string]string{"kind": string(l.Kind), "about": l.Key, "why": why},
	}))
}

// resting reports whether the server is left alone for now.
func (o *Notifier) backingOff() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.c.Now().Before(o.backOffUntil)
}

func (o *Notifier) backOff() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.backOffUntil = o.c.Now().Add(backoff(o.failures))
	o.failures++
}

// awake notes that the server answers for letters, whatever it answers.
func (o *Notifier) serverAnswered(ctx context.Context) error {
	o.mu.Lock()
	o.failures = 0
	o.mu.Unlock()
	o.health.works(partServer)
	return o.storeResult(ctx, o.c.Store.MailServerUp(ctx))
}

// SendTest sends a test mail at once, past the outbox. The error says in words
// what is wrong with the server or the address.
func (o *Notifier) SendTest(ctx context.Context, to string) error {
	if !Deliverable(to) {
		return fmt.Errorf("sending a test mail: %q is no usable address", to)
	}
	l := o.newMessage(Test, "test")
	l.To, l.Language, l.Params.At = to, o.c.Language, l.Made
	message, err := o.composer.mail(l, o.c.Server.from, l.Made)
	if err != nil {
		return err
	}
	line, err := o.c.Server.dial(ctx)
	if err != nil {
		return err
	}
	defer line.close()
	if _, err := line.send(message); err != nil {
		return fmt.Errorf("sending a test mail: %w", err)
	}
	return nil
}

func truncate(s string) string {
	runes := slices.Collect(func(yield func(rune) bool) {
		for _, r := range s {
			if r < ' ' {
				r = ' '
			}
			if !yield(r) {
				return
			}
		}
	})
	return string(runes[:min(len(runes), maxReason)])
}
