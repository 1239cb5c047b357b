package notify

import (
	"context"
	"errors"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Store holds the outbox and the collector's cursor in the audit log. Every method that
// changes something is one transaction.
type Store interface {
	// MailEvents returns at most limit audit entries after the collector's cursor, in
	// order, and the cursor. An entry whose object is no certificate has no device.
	MailEvents(ctx context.Context, limit int) (after int64, found []Event, err error)

	// EnqueueFrom adds messages to the outbox and moves the cursor from one entry to
	// another. It returns portal.ErrConflict, and changes nothing, when another replica
	// moved the cursor first. Messages whose key is known are dropped.
	EnqueueFrom(ctx context.Context, from, to int64, msgs []Message) error

	// Language returns the language in which the person last read the pages, or
	// portal.ErrNotFound.
	Language(ctx context.Context, person portal.PersonID) (string, error)

	// ExpiringCertificates returns certificates that expire after one time and not
	// after another, and have no message whose key is the given prefix and the serial;
	// at most limit. It considers only the newest valid certificate of a device, and
	// only those with at least the given lifetime.
	ExpiringCertificates(ctx context.Context, key string, after, until time.Time, life time.Duration, limit int) ([]ExpiringCertificate, error)

	// Enqueue adds messages to the outbox; those whose key is known are dropped. A
	// message without address only occupies its key, so that it is not considered
	// again.
	Enqueue(ctx context.Context, msgs []Message) error

	// RecallWaves returns the next wave of so many people of each campaign that is due: with
	// people who still have a certificate of the revoked CA and were not asked. None is due
	// while no CA issues or issuing is stopped.
	RecallWaves(ctx context.Context, now time.Time, people int) ([]Wave, error)

	// EnqueueWave adds the messages of a wave to the outbox and moves the campaign behind it,
	// until next. It returns portal.ErrConflict, and changes nothing, when another replica
	// did so first.
	EnqueueWave(ctx context.Context, w Wave, msgs []Message, next time.Time) error

	// ClaimMessages reserves messages that are due until a time, the oldest first, at
	// most limit. Other replicas do not get them before.
	ClaimMessages(ctx context.Context, now, until time.Time, limit int) ([]Message, error)

	// ExtendClaims keeps claimed messages that are not dealt with from other senders for
	// longer. It returns the ids of those: without the others that another sender claimed since.
	ExtendClaims(ctx context.Context, msgs []Message, until time.Time) (held []string, err error)

	// ReleaseMessages makes claimed messages available again, unchanged, as far as they are
	// under their claim. The same goes for Postpone.
	ReleaseMessages(ctx context.Context, msgs []Message) error

	// MarkSent closes a message, deletes its address and parameters, and records that
	// mail works.
	MarkSent(ctx context.Context, m Message, at time.Time) error

	// Postpone counts an attempt and makes the message due at next.
	Postpone(ctx context.Context, m Message, next time.Time, reason string) error

	// GiveUpMessage closes a message that cannot be delivered, with its audit entry,
	// and keeps its parameters, so that staff can send it again.
	GiveUpMessage(ctx context.Context, m Message, at time.Time, reason string, entry audit.Entry) error

	// MailServerDown records that the server takes no mail. Until mail works again, the
	// first such record keeps its time.
	MailServerDown(ctx context.Context, at time.Time, reason string) error

	// MailServerUp ends the state that MailServerDown recorded: the server accepted or
	// rejected a message.
	MailServerUp(ctx context.Context) error

	// MailState returns the state, counting waiting messages up to bound.
	MailState(ctx context.Context, bound int) (State, error)

	// PruneMessages deletes messages that were closed before a time, and returns how
	// many.
	PruneMessages(ctx context.Context, before time.Time) (int, error)
}

// Directory is where the notifier reads names and addresses.
type Directory interface {
	// People returns those of the people that the directory knows, in any order. An
	// error says that it did not answer.
	People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error)
}

// State is the state of mail over all replicas.
type State struct {
	Sent    time.Time // when a message was last sent; zero for never
	Failing time.Time // since when the server takes no mail; zero while it does
	Reason  string    // answer of the server or network error, for operators
	Waiting int       // messages not sent yet, up to the bound asked for
	Oldest  time.Time // when the oldest waiting message was made; zero for none
	Failed  int       // messages given up and not pruned yet
	Behind  int64     // audit entries that no collector has read yet
}

// ErrStale means that a message is not sent again, because what it says is not true any
// more.
var ErrStale = errors.New("what the message says is not true any more")

// FailedMessage is a message that was given up.
type FailedMessage struct {
	ID     string
	Kind   Kind
	Person portal.PersonID // empty for messages to operators
	To     string
	Made   time.Time
	Closed time.Time
	Tries  int
	Reason string // answer of the server, for operators

	Resendable bool // its parameters are kept
}
