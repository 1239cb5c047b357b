package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// How many pickup codes that open nothing may be tried in the window of sign-in
// tries: by a person who is signed in, and from one network.
const (
	PickupTries        = 5
	PickupAddressTries = 100
)

// WrongCode means that a pickup code opens nothing for the client: it never existed,
// is another person's, or, to an anonymous client, is over. They all look alike.
type WrongCode struct {
	Counted bool // Left says something: the person is known
	Left    int  // tries left before a pause
	Pause   time.Duration
}

// Error includes the tries left.
func (w *WrongCode) Error() string { return fmt.Sprintf("wrong pickup code, %d tries left", w.Left) }

// CodeGone says to the person it was made for that their code does not work: it
// was used, replaced, has run out or still waits for approval.
type CodeGone struct {
	State InvitationState
	At    time.Time // when it was used or replaced, or ran out
}

// Error says which of the ends it was.
func (g *CodeGone) Error() string { return "pickup code is " + string(g.State) }

// OpenInvitation finds what a pickup code opens for a person who is signed in, or
// for an anonymous client when by has no person: then only a code that works alone. It
// changes nothing of it: the code is used up when a certificate is recorded with
// it.
//
// It returns *WrongCode or *CodeGone, found out by the same steps and in the same
// time; a *Refusal with PausedPickup after too many of those of a person, or with
// PausedCodes of a network; or an *Outage.
func (s *Service) OpenInvitation(ctx context.Context, code PickupCode, by portal.Actor) (Invitation, error) {
	wrong, keys, err := s.countCode(ctx, by)
	if err != nil {
		return Invitation{}, err
	}
	hash, err := s.HashPickupCode(ctx, code)
	if err != nil {
		return Invitation{}, err
	}
	i, err := s.c.Store.InvitationByCode(ctx, hash)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return Invitation{}, errors.Join(portal.AsOutage(portal.PartStore, "finding invitation", err), s.giveBack(ctx, keys...))
	}
	now := s.c.Now()
	state, mine := i.At(now), err == nil && i.Person == by.Person
	switch {
	case by.Person == "" && (err != nil || state != InvitationOpen || !i.Alone || !s.c.CodeAlone):
		return Invitation{}, wrong
	case by.Person != "" && !mine:
		why := "foreign"
		if err != nil {
			why = "unknown"
		}
		s.noteCode(ctx, by, "", why)
		return Invitation{}, wrong
	case state != InvitationOpen:
		s.noteCode(ctx, by, i.ID, string(state))
		return Invitation{}, &CodeGone{State: state, At: endOf(i)}
	}
	return i, s.giveBack(ctx, keys...)
}

// countCode counts a try before the look-up, or parallel guesses would see answers
// that the pause is to keep from them. A person who is signed in has tries of their own,
// which strangers on the same network do not use up.
func (s *Service) countCode(ctx context.Context, by portal.Actor) (*WrongCode, []string, error) {
	wrong := &WrongCode{Pause: s.c.Window}
	if by.Person == "" {
		keys, err := s.countSource(ctx, "pickup code", PickupAddressTries, by)
		return wrong, keys, err
	}
	key := "pickup code of " + string(by.Person)
	tries, err := s.try(ctx, key, Limit{Tries: PickupTries, Window: s.c.Window}, s.c.Now(), portal.PausedPickup)
	if err != nil {
		return nil, nil, err
	}
	wrong.Counted, wrong.Left = true, tries.Left
	return wrong, []string{key}, nil
}

// endOf is when an invitation ended that is not open.
func endOf(i Invitation) time.Time {
	if !i.Closed.IsZero() {
		return i.Closed
	}
	return i.Expires
}

// noteCode records a code that did not open, of a person who is signed in. What
// strangers bring is only counted: they could fill the audit log.
func (s *Service) noteCode(ctx context.Context, by portal.Actor, id InvitationID, why string) {
	e := by.Entry(s.c.Now(), audit.InvitationRefused)
	e.Object, e.Detail = string(id), map[string]string{"reason": why}
	if err := s.c.Store.Note(context.WithoutCancel(ctx), e); err != nil {
		s.c.Log.Error("recording a refused pickup code", "request", by.Request, "err", err)
	}
}

// SignInByCode signs in a client with a code that may stand for a password, for the
// one certificate that the code is good for. It returns a *Refusal when the person
// may not sign in or may have no certificate by a code, and else what
// OpenInvitation returns. When the directory does not answer, the code is still
// good.
func (s *Service) SignInByCode(ctx context.Context, code PickupCode, by portal.Actor) (portal.Person, Invitation, error) {
	by.Person = ""
	i, err := s.OpenInvitation(ctx, code, by)
	if err != nil {
		return portal.Person{}, Invitation{}, err
	}
	if err := s.stillStaff(ctx, i); err != nil {
		return portal.Person{}, Invitation{}, err
	}
	person, err := s.checkStillAllowed(ctx, i.Person, by)
	if err != nil {
		return portal.Person{}, Invitation{}, err
	}
	if person.Protected {
		// Became so since the code was given.
		s.note(ctx, by, person, string(portal.Protected), person.ID)
		return portal.Person{}, Invitation{}, &portal.Refusal{Reason: portal.Protected}
	}
	return person, i, s.signedIn(ctx, by, person, "pickup-code")
}

// stillStaff checks the maker of a code that replaces a password: codes of
// dismissed staff do not work.
func (s *Service) stillStaff(ctx context.Context, i Invitation) error {
	maker, err := s.c.Directory.Person(ctx, i.MadeBy)
	switch {
	case errors.Is(err, portal.ErrNotFound):
	case err != nil:
		return portal.AsOutage(portal.PartDirectory, "reading who made the code", err)
	case !maker.Disabled && !maker.Expired && maker.Has(i.MadeRole):
		return nil
	}
	s.c.Log.Warn("pickup code of somebody who is no staff any more", "invitation", i.ID, "maker", i.MadeBy)
	return &WrongCode{}
}
