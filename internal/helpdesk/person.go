package helpdesk

import (
	"context"
	"errors"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

const (
	// refusedAct is what a no to other acts than making a code is recorded under.
	refusedAct = audit.AccessRefused

	// shownEntries is how much of the ledger a dossier shows.
	shownEntries = 10
)

// failures are the actions that tell of a try that came to nothing.
func failures() []audit.Action {
	return []audit.Action{audit.SignInRefused, audit.EnrolmentRefused, audit.InvitationRefused, audit.HandoffBurnt}
}

// Dossier is what staff see of a person. There is nothing in it that opens
// anything.
type PersonDetails struct {
	Person portal.Person // read afresh

	// Standing is why the person may have no certificate now; nil when they may.
	Refusal *portal.Refusal

	// Paused is until when nobody can sign in with a password under the person's names,
	// after wrong ones; zero when they can.
	Paused time.Time

	Devices    []portal.Device
	Invitation signin.Invitation // open, waiting or run out; the zero value for none
	Events     []audit.Entry     // newest first
	Failed     []audit.Entry     // tries that came to nothing, newest first
	Names      map[string]string // of the people who acted in Events, as far as known

	// NoCode and NoBlock say why the actor may not give a code or block a device;
	// empty when they may.
	InviteDenied, BlockDenied authz.Reason
}

// Dossier reads somebody's account, devices and newest events, and records that it
// was read: without the entry there is no dossier. It returns enroll.ErrNotFound
// for somebody the directory does not know.
func (s *Service) PersonDetails(ctx context.Context, by portal.Actor, id portal.PersonID) (PersonDetails, error) {
	by, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadPerson}, refusedAct)
	if err != nil {
		return PersonDetails{}, err
	}
	d := PersonDetails{}
	if d.Person, err = s.person(ctx, id); err != nil {
		return PersonDetails{}, err
	}
	if err := s.readRecords(ctx, &d); err != nil {
		return PersonDetails{}, err
	}
	errors.As(s.c.Registrar.Judge(d.Person), &d.Refusal)
	_, err = authz.Decide(authz.Request{Actor: by.Staff(), Act: authz.Invite, Target: &d.Person})
	d.InviteDenied = authz.ReasonOf(err)
	_, err = authz.Decide(authz.Request{Actor: by.Staff(), Act: authz.Block, Target: &d.Person})
	d.BlockDenied = authz.ReasonOf(err)
	e := s.entry(by, d.Person, audit.PersonRead)
	e.Detail = map[string]string{"upn": d.Person.UPN}
	return d, storeErr("recording the reading of a person", s.c.Store.Note(ctx, e))
}

// gather reads what the records have about the person.
func (s *Service) readRecords(ctx context.Context, d *PersonDetails) (err error) {
	if d.Devices, err = s.c.Registrar.Devices(ctx, d.Person.ID); err != nil {
		return err
	}
	d.Invitation, err = s.c.Store.Invited(ctx, d.Person.ID)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return storeErr("finding invitation", err)
	}
	if d.Events, err = s.c.Store.EntriesAbout(ctx, d.Person.ID, shownEntries); err != nil {
		return storeErr("reading events", err)
	}
	if d.Failed, err = s.c.Store.EntriesAbout(ctx, d.Person.ID, shownEntries, failures()...); err != nil {
		return storeErr("reading failed tries", err)
	}
	d.Names = s.actorNames(ctx, d.Events)
	key, err := s.c.SignIn.AccountKey(ctx, d.Person.Login)
	if err != nil {
		return err
	}
	d.Paused, err = s.c.Store.PausedUntil(ctx, key, s.c.Now())
	return storeErr("reading pause of sign-in", err)
}

// namesIn finds out how those are called who acted. A dossier without names is
// better than none.
func (s *Service) actorNames(ctx context.Context, entries []audit.Entry) map[string]string {
	names := make(map[string]string)
	var ids []portal.PersonID
	for _, e := range entries {
		if _, known := names[e.Actor]; !known && e.Actor != "" {
			names[e.Actor] = ""
			ids = append(ids, portal.PersonID(e.Actor))
		}
	}
	people, err := s.people(ctx, ids)
	if err != nil {
		s.c.Log.Warn("names of those who acted not found", "err", err)
	}
	for _, p := range people {
		names[string(p.ID)] = p.Name
	}
	return names
}
