package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// The times of a hand-off, from a desktop to a phone.
const (
	HandoffLife    = 10 * time.Minute // how long its code may be used
	HandoffFresh   = 15 * time.Minute // how recently the desktop must have signed in
	HandoffSession = 15 * time.Minute // how long the phone may use what it got
)

// HandoffTries is how many codes that open nothing may come from one network in
// the window of sign-in tries.
const HandoffTries = 100

// ErrWrongNumber means that a client with the code typed another number than the
// desktop shows. The code is used up.
var ErrWrongNumber = errors.New("wrong number for the hand-off")

// HandoffID names a hand-off for good; it opens nothing.
type HandoffID string

// HandoffState is what became of a hand-off.
type HandoffState string

// The states. The last is not kept: it follows from the time.
const (
	HandoffOpen     HandoffState = "open"
	HandoffRedeemed HandoffState = "redeemed" // a phone typed the right number
	HandoffBurnt    HandoffState = "burnt"    // a client typed a wrong number
	HandoffEnded    HandoffState = "ended"    // a newer one took its place
	HandoffExpired  HandoffState = "expired"
)

// Handoff is the way of one person from a desktop to one phone. The desktop shows
// a code and a number; the phone presents the code and must type the number, with
// one try. A code alone, stolen or read by a link preview, opens one hand-off in a
// hundred. A person who is sent a code, by an attacker who wants them to install the
// attacker's certificate, has no number to type.
type Handoff struct {
	ID      HandoffID
	Person  portal.PersonID
	Masked  string // the person's name as a stranger with the code may see it
	Number  int    // 0 to 99, for the desktop only
	State   HandoffState
	Expires time.Time
	Device  portal.DeviceID // that its phone enrolled; empty before
}

// Digits is the number as the desktop shows it and the phone must type it, "07".
func (h Handoff) Digits() string { return fmt.Sprintf("%02d", h.Number) }

// HandoffOffer is a hand-off to be recorded.
type HandoffOffer struct {
	Handoff
	CodeHash [32]byte
	Session  [32]byte // hash of the id of the desktop's session: its end ends the code
	At       time.Time
	Entry    audit.Entry
}

// OfferHandoff makes a hand-off for a person who signed in a moment ago, bound to
// their session. The code exists in the answer only. It returns an *Outage when
// the store does not answer.
func (s *Service) OfferHandoff(ctx context.Context, by portal.Actor, session [32]byte, name string) (Handoff, HandoffCode, error) {
	code, err := newHandoffCode()
	if err != nil {
		return Handoff{}, "", err
	}
	hash, err := s.hashCode(ctx, code)
	if err != nil {
		return Handoff{}, "", err
	}
	now := s.c.Now()
	h := Handoff{
		ID: HandoffID(strings.ToLower(rand.Text())), Person: by.Person, Masked: MaskName(name),
		State: HandoffOpen, Expires: now.Add(HandoffLife),
	}
	if h.Number, err = drawNumber(); err != nil {
		return Handoff{}, "", err
	}
	entry := by.Entry(now, audit.HandoffMade)
	entry.Object = string(h.ID)
	err = s.c.Store.OfferHandoff(ctx, HandoffOffer{Handoff: h, CodeHash: hash, Session: session, At: now, Entry: entry})
	return h, code, portal.AsOutage(portal.PartStore, "recording hand-off", err)
}

// Handoff finds a hand-off that the person made. It returns ErrNotFound or an
// *Outage.
func (s *Service) Handoff(ctx context.Context, person portal.PersonID, id HandoffID) (Handoff, error) {
	h, err := s.c.Store.Handoff(ctx, person, id)
	if err != nil {
		return Handoff{}, portal.AsOutage(portal.PartStore, "finding hand-off", err)
	}
	if h.State == HandoffOpen && !s.c.Now().Before(h.Expires) {
		h.State = HandoffExpired
	}
	return h, nil
}

// NoteHandoffDevice records the device that the phone of a hand-off enrolled, for the
// desktop's page. Only the first counts.
func (s *Service) NoteHandoffDevice(ctx context.Context, id HandoffID, device portal.DeviceID) error {
	return portal.AsOutage(portal.PartStore, "noting device of hand-off", s.c.Store.NoteHandoffDevice(ctx, id, device))
}

// OpenHandoff finds what a code opens, and changes nothing of it: link previews
// ask too. It returns ErrNotFound for a code that opens nothing, for any reason, in the
// same time; a *Refusal with PausedCodes after too many of those from the network;
// or an *Outage.
func (s *Service) OpenHandoff(ctx context.Context, code HandoffCode, by portal.Actor) (Handoff, error) {
	// Counted before the look-up, or parallel guesses would see answers that the
	// pause is to keep from them.
	keys, err := s.countSource(ctx, "hand-off", HandoffTries, by)
	if err != nil {
		return Handoff{}, err
	}
	hash, err := s.hashCode(ctx, code)
	if err != nil {
		return Handoff{}, err
	}
	h, err := s.c.Store.OpenHandoff(ctx, hash, s.c.Now())
	if errors.Is(err, portal.ErrNotFound) {
		return Handoff{}, fmt.Errorf("finding hand-off: %w", portal.ErrNotFound)
	}
	return h, errors.Join(portal.AsOutage(portal.PartStore, "finding hand-off", err), s.giveBack(ctx, keys...))
}

// RedeemHandoff signs in a phone that presents a code and the number of the desktop.
// It returns ErrWrongNumber, and the code is used up; a *Refusal when the person
// may not sign in any more; and else what OpenHandoff returns. When the directory
// does not answer, the code is still good.
func (s *Service) RedeemHandoff(ctx context.Context, code HandoffCode, number int, by portal.Actor) (portal.Person, Handoff, error) {
	h, err := s.OpenHandoff(ctx, code, by)
	if err != nil {
		return portal.Person{}, Handoff{}, err
	}
	key, err := s.takeOnlyTry(ctx, h.ID)
	if err != nil {
		return portal.Person{}, Handoff{}, err
	}
	if subtle.ConstantTimeEq(int32(number), int32(h.Number)) != 1 {
		// A stranger's act about the person, not the person's.
		entry := portal.Actor{Person: h.Person, Address: by.Address, Request: by.Request}.Entry(s.c.Now(), audit.HandoffBurnt)
		entry.Actor, entry.Role = "", ""
		if err := s.closeHandoff(ctx, h, HandoffBurnt, entry); err != nil {
			return portal.Person{}, Handoff{}, err
		}
		return portal.Person{}, h, ErrWrongNumber
	}
	person, err := s.checkStillAllowed(ctx, h.Person, by)
	if err == nil {
		by.Person, by.Role = h.Person, portal.Employee
		err = s.closeHandoff(ctx, h, HandoffRedeemed, by.Entry(s.c.Now(), audit.HandoffRedeemed))
	}
	if err != nil {
		// The number was right: the phone may send it again.
		again := portal.AsOutage(portal.PartStore, "giving back a try", s.c.Store.Forgive(context.WithoutCancel(ctx), key))
		return portal.Person{}, h, errors.Join(err, again)
	}
	return person, h, nil
}

// takeOnlyTry counts the one try of a hand-off before its number is compared. Of many
// numbers sent at once one is compared; after a wrong one no other is, even if the
// store cannot close the hand-off. It returns the key of the try, or ErrNotFound.
func (s *Service) takeOnlyTry(ctx context.Context, id HandoffID) (string, error) {
	key := "hand-off number " + string(id)
	tries, err := s.c.Store.Try(ctx, key, Limit{Tries: 1, Window: HandoffLife}, s.c.Now())
	if err != nil {
		return "", portal.AsOutage(portal.PartStore, "counting tries", err)
	}
	if !tries.Allowed {
		return "", fmt.Errorf("hand-off had its try: %w", portal.ErrNotFound)
	}
	return key, nil
}

// closeHandoff uses a code up, also when the client has disconnected: that must
// not give a second guess.
func (s *Service) closeHandoff(ctx context.Context, h Handoff, state HandoffState, entry audit.Entry) error {
	entry.Object = string(h.ID)
	err := s.c.Store.CloseHandoff(context.WithoutCancel(ctx), h.ID, state, s.c.Now(), entry)
	return portal.AsOutage(portal.PartStore, "closing hand-off", err)
}

// checkStillAllowed reads a person afresh who signed in elsewhere.
func (s *Service) checkStillAllowed(ctx context.Context, id portal.PersonID, by portal.Actor) (portal.Person, error) {
	asking, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	person, err := s.c.Directory.Person(asking, id)
	if errors.Is(err, portal.ErrNotFound) {
		person, err = portal.Person{ID: id}, &portal.Refusal{Reason: portal.Disabled} // deleted since
	} else if err == nil {
		err = maySignIn(person)
	}
	var refusal *portal.Refusal
	if errors.As(err, &refusal) {
		s.note(ctx, by, person, string(refusal.Reason), person.ID)
		return portal.Person{}, err
	}
	return person, portal.AsOutage(portal.PartDirectory, "reading person", err)
}
