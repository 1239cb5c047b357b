package helpdesk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// BlockRequest says which device to block, and how staff recognized the person who
// asked for it.
type BlockRequest struct {
	Person portal.PersonID
	Device portal.DeviceID
	Cause  portal.Cause // portal.Lost, portal.Retired or portal.Returned
	Check  signin.Check
	Note   string // remark on the check, as typed; required for signin.CheckOther
}

// Block blocks a device on its owner's request, for good. It returns an *authz.Error, a
// *portal.Refusal for a mistake in the form, portal.ErrNotFound for an unknown person
// or device, or a *portal.Outage.
func (s *Service) Block(ctx context.Context, by portal.Actor, b BlockRequest) (portal.Device, error) {
	target, err := s.person(ctx, b.Person)
	if err != nil {
		return portal.Device{}, err
	}
	by, err = s.authorize(ctx, by, authz.Request{Act: authz.Block, Target: &target}, refusedAct)
	if err != nil {
		return portal.Device{}, err
	}
	note, err := checkNote(b.Check, b.Note)
	if !b.Cause.Blocks() {
		err = errors.Join(&portal.Refusal{Reason: portal.BlockReason, Field: "reason"}, err)
	}
	if err != nil {
		return portal.Device{}, err
	}
	d, err := s.requestedDevice(ctx, InviteRequest{Person: b.Person, Device: b.Device})
	if err == nil && d.ID == "" {
		err = fmt.Errorf("finding device: %w", portal.ErrNotFound)
	}
	if err != nil {
		return portal.Device{}, err
	}
	// More than a few an hour are no requests of callers. Administrators use a bulk
	// revocation, which needs approval.
	if by.Role == portal.Helpdesk {
		if err := s.count(ctx, by, target, authz.Block, blocksPerCode*s.c.PerHour); err != nil {
			return portal.Device{}, err
		}
	}
	return d, s.block(ctx, by, target, d, b.Cause, b.Check, note)
}

// block blocks a device with the details of the check in its audit entry.
func (s *Service) block(ctx context.Context, by portal.Actor, target portal.Person, d portal.Device, cause portal.Cause, check signin.Check, note string) error {
	detail := map[string]string{"name": d.Name, "by": string(by.Role), "checked": string(check)}
	if note != "" {
		detail["note"] = note
	}
	b := enroll.Block{Person: target.ID, Device: d.ID, Cause: cause, Detail: detail}
	now := s.c.Now()
	if by.Staff().Has(portal.Admin) {
		b.Alone = enroll.Alone{Person: by.Person, Since: now.Add(-time.Hour), Most: s.c.SecondPerson}
	}
	err := s.c.Registrar.Block(ctx, by, b)
	if errors.Is(err, enroll.ErrSecondPerson) {
		s.record(ctx, by, target, audit.InvitationPaused, "", map[string]string{"act": string(authz.Block), "reason": string(portal.SecondPerson)})
		return &portal.Refusal{Reason: portal.SecondPerson, Value: string(d.ID), Limit: s.c.SecondPerson}
	}
	return err
}
