package helpdesk

import (
	"context"
	"errors"
	"slices"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

const (
	// refusedAct is the audit action of refused acts other than making a code.
	refusedAct = audit.AccessRefused

	// shownEntries bounds the audit entries shown of a person.
	shownEntries = 10
)

// ReasonUnread denies acts on people whose account cannot be read: it may be protected.
const ReasonUnread authz.Reason = "unread"

// failures are the actions of failed attempts.
func failures() []audit.Action {
	return []audit.Action{audit.SignInRefused, audit.EnrolmentRefused, audit.FileRefused, audit.InvitationRefused, audit.HandoffBurnt, audit.DeviceTrouble}
}

// eventsShown are all actions but that of staff who looked at the page, which would soon
// be the only ones left, unless it is asked for.
func eventsShown(also []audit.Action) []audit.Action {
	return slices.DeleteFunc(slices.Clone(audit.Actions()), func(a audit.Action) bool {
		return a == audit.PersonRead && !slices.Contains(also, a)
	})
}

// PersonDetails is what staff see of a person. It contains no secret.
type PersonDetails struct {
	Person portal.Person // read for this request

	// Refusal is why the person may have no certificate now; nil when they may.
	Refusal *portal.Refusal

	// Paused is the end of a pause of password sign-in after wrong passwords; zero for
	// none.
	Paused time.Time

	Devices    []portal.Device
	Invitation signin.Invitation // open, waiting or expired; the zero value for none
	Events     []audit.Entry     // newest first, without those of staff who looked at the page unless they are asked for
	Failed     []audit.Entry     // failed attempts, newest first
	Names      map[string]string // names of the actors in Events, as far as known

	// DeviceNames are the names of devices in Events and Failed, by what entries call
	// them: an id, or the serial of a certificate.
	DeviceNames map[string]string

	// InviteDenied and BlockDenied say why the actor may not give a code or block a
	// device; empty when they may.
	InviteDenied, BlockDenied authz.Reason
}

// PersonDetails returns a person's account, devices and newest events. It returns them
// only after the access was recorded. It returns portal.ErrNotFound for people the
// directory does not know. The events of audit.PersonRead are among them only if that is
// named.
func (s *Service) PersonDetails(ctx context.Context, by portal.Actor, id portal.PersonID, also ...audit.Action) (PersonDetails, error) {
	by, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadPerson}, refusedAct)
	if err != nil {
		return PersonDetails{}, err
	}
	d := PersonDetails{}
	var unread *portal.UnreadableError
	d.Person, err = s.c.Directory.Person(ctx, id)
	switch {
	case errors.As(err, &unread) && len(unread.People) == 1:
		s.c.Log.Warn("account cannot be read", "person", id, "err", err)
		d.Person, d.Refusal = unread.People[0].Person, &portal.Refusal{Reason: portal.EntryUnread}
		d.InviteDenied, d.BlockDenied = ReasonUnread, ReasonUnread
	case err != nil:
		return PersonDetails{}, portal.AsOutage(portal.PartDirectory, "reading person", err)
	default:
		errors.As(s.c.Registrar.Judge(d.Person), &d.Refusal)
		d.InviteDenied, d.BlockDenied = denied(by, authz.Invite, d.Person), denied(by, authz.Block, d.Person)
	}
	if err := s.readRecords(ctx, &d, also); err != nil {
		return PersonDetails{}, err
	}
	e := s.entry(by, d.Person, audit.PersonRead)
	e.Detail = map[string]string{"upn": d.Person.UPN}
	return d, storeErr("recording the reading of a person", s.c.Store.Note(ctx, e))
}

// denied returns why an act on a person is denied, empty when it is allowed.
func denied(by portal.Actor, act authz.Act, target portal.Person) authz.Reason {
	_, err := authz.Decide(authz.Request{Actor: by.Staff(), Act: act, Target: &target})
	return authz.ReasonOf(err)
}

// readRecords reads what the store has about the person.
func (s *Service) readRecords(ctx context.Context, d *PersonDetails, also []audit.Action) (err error) {
	if d.Devices, err = s.c.Registrar.Devices(ctx, d.Person.ID); err != nil {
		return err
	}
	d.Invitation, err = s.c.Store.Invited(ctx, d.Person.ID)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return storeErr("finding invitation", err)
	}
	if d.Events, err = s.c.Store.EntriesAbout(ctx, d.Person.ID, shownEntries, eventsShown(also)...); err != nil {
		return storeErr("reading events", err)
	}
	if d.Failed, err = s.c.Store.EntriesAbout(ctx, d.Person.ID, shownEntries, failures()...); err != nil {
		return storeErr("reading failed tries", err)
	}
	d.Names = s.actorNames(ctx, d.Events)
	if d.DeviceNames, err = s.c.Store.DeviceNames(ctx, d.Person.ID, devicesIn(d.Events, d.Failed)); err != nil {
		return storeErr("reading names of devices", err)
	}
	key, err := s.c.SignIn.AccountKey(ctx, d.Person.Login)
	if err != nil {
		return err
	}
	d.Paused, err = s.c.Store.PausedUntil(ctx, key, s.c.Now())
	return storeErr("reading pause of sign-in", err)
}

// devicesIn lists what entries name that may be a device, or a certificate of one.
func devicesIn(lists ...[]audit.Entry) []string {
	var objects []string
	for _, e := range slices.Concat(lists...) {
		for _, object := range []string{e.Detail["device"], e.Object} {
			if object != "" && e.Detail["name"] == "" && !slices.Contains(objects, object) {
				objects = append(objects, object)
			}
		}
	}
	return objects
}

// actorNames reads the names of actors. Missing names are no error.
func (s *Service) actorNames(ctx context.Context, entries []audit.Entry) map[string]string {
	names := make(map[string]string)
	var ids []portal.PersonID
	for _, e := range entries {
		if _, known := names[e.Actor]; !known && e.Actor != "" {
			names[e.Actor] = ""
			ids = append(ids, portal.PersonID(e.Actor))
		}
	}
	found, err := s.people(ctx, ids)
	if err != nil {
		s.c.Log.Warn("names of those who acted not found", "err", err)
	}
	for _, m := range found {
		names[string(m.Person.ID)] = m.Person.Name
	}
	return names
}
