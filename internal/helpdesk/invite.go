package helpdesk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// InviteRequest describes a pickup code to be made, and how staff recognized the
// person.
type InviteRequest struct {
	Person  portal.PersonID
	Check   signin.Check
	Note    string // remark on the check, as typed; required for signin.CheckOther
	Purpose signin.Purpose

	// Device is the device the code is for. With signin.ForLost it is required, and
	// blocked first; with signin.ForNew it must be empty.
	Device portal.DeviceID
}

// Invite makes a pickup code, which replaces earlier ones of the person. The code is
// returned only here; the store keeps its hash. When codes are mailed ([Service.MailsCodes])
// it is sent to the person and not returned at all.
//
// It returns an *authz.Error; a *portal.Refusal for a mistake in the form, for the
// reason the person may have no certificate, or with portal.PausedInvites after too
// many codes; portal.ErrNotFound for an unknown person or device; or a *portal.Outage.
// Every refusal is recorded, except mistakes in the form.
func (s *Service) Invite(ctx context.Context, by portal.Actor, o InviteRequest) (signin.Invitation, signin.PickupCode, error) {
	none := signin.Invitation{}
	target, err := s.person(ctx, o.Person)
	if err != nil {
		return none, "", err
	}
	by, err = s.authorize(ctx, by, authz.Request{Act: authz.Invite, Target: &target}, audit.InvitationRefused)
	if err != nil {
		return none, "", err
	}
	if o.Note, err = s.checkInvite(o); err != nil {
		return none, "", err
	}
	device, err := s.requestedDevice(ctx, o)
	if err != nil {
		return none, "", err
	}
	if err := s.checkMayEnroll(ctx, by, target); err != nil {
		return none, "", err
	}
	if err := s.checkMail(ctx, by, target); err != nil {
		return none, "", err
	}
	if err := s.count(ctx, by, target, authz.Invite, s.c.PerHour); err != nil {
		return none, "", err
	}
	i, code, err := s.invite(ctx, by, target, device, o)
	if err != nil {
		// No code was made. The counter limits staff only, so uncounting is safe.
		err = errors.Join(err, s.c.Store.GiveBack(context.WithoutCancel(ctx), budgetKey(by)))
	}
	return i, code, err
}

// checkInvite validates the form and returns the normalized remark, or all mistakes
// joined.
func (s *Service) checkInvite(o InviteRequest) (string, error) {
	note, err := checkNote(o.Check, o.Note)
	_, ok := signin.ParsePurpose(string(o.Purpose))
	unfit := o.Purpose == signin.ForNew && o.Device != "" || o.Purpose != signin.ForNew && o.Device == ""
	if !ok || unfit {
		err = errors.Join(err, &portal.Refusal{Reason: portal.PurposeBad, Field: "purpose"})
	}
	return note, err
}

// checkNote validates how the person was recognized and returns the normalized remark,
// or all mistakes joined.
func checkNote(check signin.Check, typed string) (note string, err error) {
	note = strings.Join(strings.Fields(strings.ToValidUTF8(typed, "")), " ")
	if _, ok := signin.ParseCheck(string(check)); !ok {
		err = &portal.Refusal{Reason: portal.CheckMissing, Field: "checked"}
	}
	switch {
	case check == signin.CheckOther && note == "":
		err = errors.Join(err, &portal.Refusal{Reason: portal.CheckNote, Field: "note"})
	case utf8.RuneCountInString(note) > signin.MaxCheckNote:
		err = errors.Join(err, &portal.Refusal{Reason: portal.CheckLong, Field: "note", Limit: signin.MaxCheckNote})
	}
	return note, err
}

// requestedDevice returns the device of the request; the zero device for none.
func (s *Service) requestedDevice(ctx context.Context, o InviteRequest) (portal.Device, error) {
	if o.Device == "" {
		return portal.Device{}, nil
	}
	d, err := s.c.Registrar.Device(ctx, o.Person, o.Device)
	if err == nil && !d.Removed.IsZero() {
		err = fmt.Errorf("finding device: %w", portal.ErrNotFound)
	}
	return d, err
}

// checkMayEnroll refuses and records a code for people who may have no certificate, so
// that they learn the reason while they talk to the helpdesk.
func (s *Service) checkMayEnroll(ctx context.Context, by portal.Actor, target portal.Person) error {
	err := s.c.Registrar.Judge(target)
	var refusal *portal.Refusal
	if errors.As(err, &refusal) {
		s.record(ctx, by, target, audit.InvitationRefused, "", map[string]string{
			"act": string(authz.Invite), "reason": string(refusal.Reason),
		})
	}
	return err
}

// checkMail refuses and records a code that would be mailed to a person without an
// address, before anything is done.
func (s *Service) checkMail(ctx context.Context, by portal.Actor, target portal.Person) error {
	if !s.MailsCodes() || s.c.Mail != nil && s.c.Mail.Reaches(target) {
		return nil
	}
	return s.refuseCode(ctx, by, target, portal.CodeNoMail)
}

// refuseCode refuses and records a code that does not reach its person.
func (s *Service) refuseCode(ctx context.Context, by portal.Actor, target portal.Person, reason portal.Reason) error {
	s.record(ctx, by, target, audit.InvitationRefused, "", map[string]string{"act": string(authz.Invite), "reason": string(reason)})
	return &portal.Refusal{Reason: reason, Field: "checked"}
}

// blocksPerCode is how many devices one helpdesk member may block for each code allowed
// per hour.
const blocksPerCode = 3

func budgetKey(by portal.Actor) string { return "pickup codes made by " + string(by.Person) }

// count counts an act of staff before it is done, under a key of its own. Too many
// suggest a stolen helpdesk account, so the pause is recorded in the audit log.
func (s *Service) count(ctx context.Context, by portal.Actor, target portal.Person, act authz.Act, most int) error {
	key := budgetKey(by)
	if act != authz.Invite {
		key = string(act) + " by " + string(by.Person)
	}
	tries, err := s.c.Store.Try(ctx, key, signin.Limit{Tries: most, Window: time.Hour}, s.c.Now())
	if err != nil {
		return storeErr("counting acts of staff", err)
	}
	if tries.Allowed {
		return nil
	}
	return s.tooMany(ctx, by, target, act, most, tries.Until)
}

// tooMany records that one of the staff reached a limit, and refuses the act.
func (s *Service) tooMany(ctx context.Context, by portal.Actor, target portal.Person, act authz.Act, most int, until time.Time) error {
	s.c.Log.Warn("too many acts by one of the staff", "act", act, "person", by.Person, "limit", most, "request", by.Request)
	s.record(ctx, by, target, audit.InvitationPaused, "", map[string]string{
		"act": string(act), "until": until.UTC().Format(time.RFC3339),
	})
	return &portal.Refusal{Reason: portal.PausedInvites, Limit: most, Until: until}
}

// invite blocks a lost device, then makes and records the code.
func (s *Service) invite(ctx context.Context, by portal.Actor, target portal.Person, device portal.Device, o InviteRequest) (signin.Invitation, signin.PickupCode, error) {
	if o.Purpose == signin.ForLost {
		if err := s.block(ctx, by, target, device, portal.Lost, o.Check, o.Note); err != nil {
			return signin.Invitation{}, "", err
		}
	}
	code, err := signin.NewPickupCode()
	if err != nil {
		return signin.Invitation{}, "", err
	}
	hash, err := s.c.SignIn.HashPickupCode(ctx, code)
	if err != nil {
		return signin.Invitation{}, "", err
	}
	now := s.c.Now()
	i := signin.Invitation{
		ID: signin.InvitationID(strings.ToLower(rand.Text())), Person: target.ID,
		MadeBy: by.Person, MadeRole: by.Role, Made: now, Check: o.Check, Note: o.Note, Purpose: o.Purpose, Device: device.ID,
		Alone: s.c.CodeAlone && o.Check == signin.CheckInPerson,
		State: signin.InvitationOpen, Expires: now.Add(s.c.CodeLife),
	}
	if s.c.SecondApprover {
		i.State = signin.InvitationWaiting
	}
	e := s.entry(by, target, audit.InvitationMade)
	e.Object, e.Detail = string(i.ID), map[string]string{
		"upn": target.UPN, "checked": string(i.Check), "purpose": string(i.Purpose), "state": string(i.State),
		"expires": i.Expires.UTC().Format(time.RFC3339),
	}
	for key, value := range map[string]string{"note": i.Note, "device": string(device.ID), "name": device.Name} {
		if value != "" {
			e.Detail[key] = value
		}
	}
	if i.Alone {
		e.Detail["alone"] = "true"
	}
	if s.MailsCodes() {
		e.Detail["code"] = signin.CodeMailed
	}
	err = s.c.Store.Invite(ctx, signin.InvitationOffer{Invitation: i, CodeHash: hash, Entry: e})
	if err != nil {
		return signin.Invitation{}, "", storeErr("recording invitation", err)
	}
	if !s.MailsCodes() {
		return i, code, nil
	}
	return i, "", s.mail(ctx, by, target, i, code)
}

// mail sends a code to its person. What was recorded stays: without its code it opens
// nothing, and the next code replaces it.
func (s *Service) mail(ctx context.Context, by portal.Actor, target portal.Person, i signin.Invitation, code signin.PickupCode) error {
	err := s.c.Mail.SendCode(ctx, target, code.Grouped(), i.Expires, i.State == signin.InvitationWaiting)
	if err == nil {
		return nil
	}
	s.c.Log.Error("a pickup code was not mailed", "person", target.ID, "request", by.Request, "err", err)
	return s.refuseCode(ctx, by, target, portal.CodeNotSent)
}
