package helpdesk

import (
	"context"
	"fmt"

	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// Blocking says which device its person wants blocked, and why staff are sure that
// it is them who asks.
type BlockRequest struct {
	Person portal.PersonID
	Device portal.DeviceID
	Cause  portal.Cause // enroll.Lost, enroll.Retired or enroll.Returned
	Check  signin.Check
	Note   string // on the check, as typed; required for enroll.CheckOther
}

// Block ends whatever a device holds, because its person asks for it. This cannot
// be undone. It returns an *access.Denied, a *enroll.Refusal for what the form
// lacks, enroll.ErrNotFound for a person or device that is not there, or an
// *enroll.Outage.
func (s *Service) Block(ctx context.Context, by portal.Actor, b BlockRequest) (portal.Device, error) {
	target, err := s.person(ctx, b.Person)
	if err != nil {
		return portal.Device{}, err
	}
	by, err = s.authorize(ctx, by, authz.Request{Act: authz.Block, Target: &target}, refusedAct)
	if err != nil {
		return portal.Device{}, err
	}
	if !b.Cause.Blocks() {
		return portal.Device{}, &portal.Refusal{Reason: portal.BlockReason, Field: "reason"}
	}
	note, err := checkNote(b.Check, b.Note)
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
	// More than a handful an hour is no caller's wish; administrators end many by an
	// order that a second one approves.
	if by.Role == portal.Helpdesk {
		if err := s.count(ctx, by, target, authz.Block, blocksPerCode*s.c.PerHour); err != nil {
			return portal.Device{}, err
		}
	}
	return d, s.block(ctx, by, target, d, b.Cause, b.Check, note)
}

// block ends what a device holds, as when its person reports it.
func (s *Service) block(ctx context.Context, by portal.Actor, target portal.Person, d portal.Device, cause portal.Cause, check signin.Check, note string) error {
	detail := map[string]string{"name": d.Name, "by": string(by.Role), "checked": string(check)}
	if note != "" {
		detail["note"] = note
	}
	return s.c.Registrar.Block(ctx, by, enroll.Block{Person: target.ID, Device: d.ID, Cause: cause, Detail: detail})
}
