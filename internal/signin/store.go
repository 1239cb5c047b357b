package signin

import (
	"context"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Store records sign-in attempts, hand-offs and invitations. Every method that changes
// something is one transaction, its audit entry included.
type Store interface {
	// Try counts a try before it is made. Within the window at most so many tries
	// are allowed; the next one starts a pause of the same length.
	Try(ctx context.Context, key string, limit Limit, now time.Time) (Tries, error)

	// TryAll counts one try under all the counters, or under none when one of them
	// does not allow it. Left is that of the counter with the fewest.
	TryAll(ctx context.Context, counters []Counter, sum Together, now time.Time) (Tries, error)

	// TriesLeft returns how many of the next tries, up to most, would be allowed now,
	// each under the first of the choices that allows it. It counts nothing.
	TriesLeft(ctx context.Context, choices [][]Counter, sum Together, now time.Time, most int) (int, error)

	// GiveBack takes back one try whose outcome the client did not learn.
	GiveBack(ctx context.Context, key string) error

	// Forgive forgets the tries of a key, after a right password.
	Forgive(ctx context.Context, key string) error

	// OfferHandoff records an open hand-off and ends what the person had open
	// before: one code at a time.
	OfferHandoff(context.Context, HandoffOffer) error

	// Handoff finds a hand-off of the person in any state. It returns
	// ErrNotFound when there is none or it is another person's.
	Handoff(ctx context.Context, person portal.PersonID, id HandoffID) (Handoff, error)

	// OpenHandoff finds the hand-off that a code opens at the moment. It returns
	// ErrNotFound, alike, when the code never was, was used, ran out, or when the
	// session that made it ended.
	OpenHandoff(ctx context.Context, codeHash [32]byte, now time.Time) (Handoff, error)

	// CloseHandoff uses a hand-off up. It returns ErrNotFound as OpenHandoff does,
	// also to the second of two who close it at once.
	CloseHandoff(ctx context.Context, id HandoffID, state HandoffState, at time.Time, entry audit.Entry) error

	// NoteHandoffDevice records the device of a redeemed hand-off that has none yet.
	NoteHandoffDevice(ctx context.Context, id HandoffID, device portal.DeviceID) error

	// InvitationByCode finds an invitation by the hash of its code, in any state.
	// It returns ErrNotFound for a code that never was or is forgotten.
	InvitationByCode(ctx context.Context, codeHash [32]byte) (Invitation, error)

	// Note records an audit entry of its own.
	Note(context.Context, audit.Entry) error
}
