package notify

import (
	"context"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Outbox is the memory of the mail. Every method that changes something is one
// transaction.
type Store interface {
	// Happenings reads the ledger behind the place up to which letters are
	// written: at most limit entries, in order, and that place. An entry whose
	// object is no certificate has no device.
	MailEvents(ctx context.Context, limit int) (after int64, found []Event, err error)

	// Post puts the letters out and moves the place from one entry to another. It
	// returns enroll.ErrConflict, and does neither, when another clerk moved it
	// first. A letter whose key was there before is left out.
	EnqueueFrom(ctx context.Context, from, to int64, letters []Message) error

	// Ending lists certificates that end after the one moment and at the other or
	// before, without those that have a letter under key, which is put before the
	// serial; at most limit. Only the newest working certificate of a kept device
	// counts, and only one that was made for at least the life given.
	ExpiringCertificates(ctx context.Context, key string, after, until time.Time, life time.Duration, limit int) ([]ExpiringCertificate, error)

	// Remind puts letters out, but for those whose key was there before. A letter
	// without address only takes its key, so that nobody asks again.
	Enqueue(ctx context.Context, letters []Message) error

	// Claim takes letters that are due for sending, the longest waiting first, at
	// most limit. Until the moment nobody else gets them.
	ClaimMessages(ctx context.Context, now, until time.Time, limit int) ([]Message, error)

	// Release gives claimed letters back as they were.
	ReleaseMessages(ctx context.Context, letters []Message) error

	// Sent closes a letter and forgets whom it went to and what it told. It also
	// notes when mail last worked.
	MarkSent(ctx context.Context, letter Message, at time.Time) error

	// Later counts a try and lets the letter wait until next.
	Postpone(ctx context.Context, letter Message, next time.Time, why string) error

	// GiveUp closes a letter that will not arrive, with its ledger entry, and
	// forgets what it told.
	GiveUpMessage(ctx context.Context, letter Message, at time.Time, why string, entry audit.Entry) error

	// Unsendable notes that the server takes no mail at all. The first such note
	// since mail worked keeps its moment.
	MailServerDown(ctx context.Context, at time.Time, why string) error

	// Sendable ends what Unsendable noted: the server answered for a letter, be it
	// with a no.
	MailServerUp(ctx context.Context) error

	// Sending gives the state, counting waiting letters up to bound.
	MailState(ctx context.Context, bound int) (State, error)

	// ForgetLetters removes letters that were closed before the moment.
	PruneMessages(ctx context.Context, before time.Time) (int, error)
}

// Directory says who people are, at the moment of asking.
type Directory interface {
	// People reads those of the people that it knows, in any order. An error says
	// that it could not be asked.
	People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error)
}

// State is how mail is doing, over all replicas.
type State struct {
	Sent    time.Time // when a letter was last sent; zero for never
	Failing time.Time // since when the server takes none; zero while it works
	Reason  string    // what the server or the network said, for operators
	Waiting int       // letters not sent yet, up to the bound asked for
	Oldest  time.Time // when the longest waiting was made; zero without
	Failed  int       // letters given up and not yet forgotten
	Behind  int64     // ledger entries that no clerk has looked at yet
}

// Failure is a letter that was given up.
type FailedMessage struct {
	ID     string
	Kind   Kind
	Person portal.PersonID // empty for letters to operators
	To     string
	Made   time.Time
	Closed time.Time
	Tries  int
	Reason string // what the server said, for operators
}
