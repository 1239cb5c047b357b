package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

const (
	// batchSize is how many messages are sent over one connection.
	batchSize = 20

	// defaultClaim is how long claimed messages are reserved; the sender renews its claim
	// three times as often. After a crash, other replicas wait this long.
	defaultClaim = 30 * time.Second

	// maxReason bounds the stored part of a server's answer, in characters.
	maxReason = 200
)

// retryDelays are the times between the eight attempts after temporary rejections, in
// total 22 h 50 min.
func retryDelays() []time.Duration {
	return []time.Duration{
		5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	}
}

// backoff is how long the sender waits after consecutive connection failures.
func backoff(failures int) time.Duration {
	steps := []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}
	return steps[min(failures, len(steps)-1)]
}

// Deliver sends messages that are due. When the server takes no mail at all, it returns
// the error, leaves the messages unchanged and backs off.
func (n *Notifier) Deliver(ctx context.Context) error {
	if n.backingOff() {
		return nil
	}
	for {
		now := n.c.Now()
		msgs, err := n.c.Store.ClaimMessages(ctx, now, now.Add(n.c.Claim), batchSize)
		if err != nil || len(msgs) == 0 {
			return n.storeResult(ctx, err)
		}
		held := n.hold(ctx, msgs, now.Add(n.c.Claim))
		left, sendErr := n.deliverBatch(ctx, held, msgs)
		held.end()
		// The claim must be released even when the program ends.
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err = n.finishBatch(keep, ctx, left, sendErr)
		cancel()
		if err != nil || sendErr != nil {
			return err
		}
	}
}

// finishBatch releases messages that were not attempted and records whether the server
// works.
func (n *Notifier) finishBatch(keep, asked context.Context, left []Message, sendErr error) error {
	if len(left) > 0 {
		if err := n.storeResult(keep, n.c.Store.ReleaseMessages(keep, left)); err != nil {
			return err
		}
	}
	if sendErr == nil || asked.Err() != nil {
		return sendErr
	}
	n.backOff()
	n.health.fails(partServer, sendErr)
	why := truncate(sendErr.Error())
	if err := n.storeResult(keep, n.c.Store.MailServerDown(keep, n.c.Now(), why)); err != nil {
		return err
	}
	return sendErr
}

// deliverBatch sends messages over one connection and returns those that were not
// attempted. An error says that the server takes no mail at all.
func (n *Notifier) deliverBatch(ctx context.Context, held *claim, msgs []Message) (left []Message, err error) {
	stale := n.c.Now().Add(-GiveUpAfter)
	var due []Message
	for _, l := range msgs {
		if l.Made.Before(stale) {
			if err := n.giveUp(ctx, l, "it waited too long"); err != nil {
				return msgs, err
			}
			continue
		}
		due = append(due, l)
	}
	if len(due) == 0 {
		return nil, nil
	}
	conn, err := n.c.Server.dial(ctx)
	if err != nil {
		return due, err
	}
	defer conn.close()
	for i, l := range due {
		if ctx.Err() != nil {
			return due[i:], ctx.Err()
		}
		if held.over(n.c.Now()) {
			return nil, nil // another sender may have them by now
		}
		if !held.has(l) {
			continue
		}
		if tried, err := n.send(ctx, conn, l); err != nil {
			if tried {
				i++
			}
			return due[i:], err
		}
	}
	return nil, nil
}

// send sends one message and closes or postpones it by the server's answer. It reports
// whether the message was dealt with. An error concerns the server or the store, not
// the message.
func (n *Notifier) send(ctx context.Context, conn *smtpConn, l Message) (dealt bool, err error) {
	message, err := n.composer.mail(l, n.c.Server.from, n.c.Now())
	if err != nil {
		return true, n.giveUp(ctx, l, err.Error())
	}
	answer, sendErr := conn.send(message)
	if answer == accepted || answer == rejected || answer == deferred {
		if err := n.serverAnswered(ctx); err != nil {
			return false, err
		}
	}
	switch answer {
	case accepted:
		return true, n.storeResult(ctx, n.c.Store.MarkSent(ctx, l, n.c.Now()))
	case rejected:
		return true, n.giveUp(ctx, l, sendErr.Error())
	case deferred:
		return true, n.postpone(ctx, l, sendErr)
	case unknown:
		// The connection broke after the content was sent, so the message may have
		// arrived. It counts as an attempt: otherwise a message that crashes the server
		// would be sent forever.
		if err := n.postpone(ctx, l, sendErr); err != nil {
			return false, err
		}
		return true, sendErr
	}
	return false, sendErr
}

// postpone schedules the next attempt, or gives the message up after the last.
func (n *Notifier) postpone(ctx context.Context, l Message, why error) error {
	if l.Tries >= len(retryDelays()) {
		return n.giveUp(ctx, l, why.Error())
	}
	next := n.c.Now().Add(retryDelays()[l.Tries])
	return n.storeResult(ctx, n.c.Store.Postpone(ctx, l, next, truncate(why.Error())))
}

// giveUp closes a message that cannot be delivered and records it in the audit log.
func (n *Notifier) giveUp(ctx context.Context, l Message, why string) error {
	why = truncate(why)
	n.c.Log.Warn("message given up", "message", l.ID, "kind", string(l.Kind), "person", string(l.Person), "why", why)
	now := n.c.Now()
	return n.storeResult(ctx, n.c.Store.GiveUpMessage(ctx, l, now, why, audit.Entry{
		At: now, Action: audit.MailFailed, Actor: bySystem, Role: bySystem, Person: string(l.Person), Object: l.ID,
		Detail: map[string]string{"kind": string(l.Kind), "about": l.Key, "why": why},
	}))
}

// backingOff reports whether the sender waits after a failed connection.
func (n *Notifier) backingOff() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.c.Now().Before(n.backOffUntil)
}

func (n *Notifier) backOff() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.backOffUntil = n.c.Now().Add(backoff(n.failures))
	n.failures++
}

// serverAnswered records that the server accepted or rejected a message.
func (n *Notifier) serverAnswered(ctx context.Context) error {
	n.mu.Lock()
	n.failures = 0
	n.mu.Unlock()
	n.health.works(partServer)
	return n.storeResult(ctx, n.c.Store.MailServerUp(ctx))
}

// SendTest sends a test mail at once, without the outbox. The error explains what is
// wrong with the server or the address.
func (n *Notifier) SendTest(ctx context.Context, to string) error {
	if !Deliverable(to) {
		return fmt.Errorf("sending a test mail: %q is no usable address", to)
	}
	l := n.newMessage(Test, "test")
	l.To, l.Language, l.Params.At = to, n.c.Language, l.Made
	if err := n.sendNow(ctx, l); err != nil {
		return fmt.Errorf("sending a test mail: %w", err)
	}
	return nil
}

// Reaches reports whether the directory has a usable address that is the person's alone:
// a code in a mailbox that others read is theirs too.
func (n *Notifier) Reaches(to portal.Person) bool { return Deliverable(to.Mail) && !to.MailShared }

// SendCode sends a pickup code to the address that the directory has for its person, at
// once: the outbox and the audit log never hold a code. waiting says that a second
// person must approve it first. It returns an error that wraps portal.ErrNotFound when
// Reaches says no.
func (n *Notifier) SendCode(ctx context.Context, to portal.Person, code string, until time.Time, waiting bool) error {
	if !n.Reaches(to) {
		return fmt.Errorf("sending a pickup code: address: %w", portal.ErrNotFound)
	}
	known, err := n.c.Store.Language(ctx, to.ID)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return fmt.Errorf("sending a pickup code: %w", err)
	}
	l := n.newMessage(Code, "code")
	l.To, l.Language = to.Mail, n.languageOr(known)
	l.Params = Params{Name: to.Name, Code: code, Until: until, Waiting: waiting}
	if err := n.sendNow(ctx, l); err != nil {
		return fmt.Errorf("sending a pickup code: %w", err)
	}
	return nil
}

// sendNow sends a message without the outbox.
func (n *Notifier) sendNow(ctx context.Context, l Message) error {
	message, err := n.composer.mail(l, n.c.Server.from, l.Made)
	if err != nil {
		return err
	}
	conn, err := n.c.Server.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	_, err = conn.send(message)
	return err
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
