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

// maxWaiting bounds the list of invitations that wait for approval.
const maxWaiting = 100

// WaitingInvitation is an invitation that waits for approval.
type WaitingInvitation struct {
	Invitation signin.Invitation
	Person     string // display name of the person it is for; empty when unknown
	MadeBy     string // display name of its maker; empty when unknown
	Mine       bool   // the actor made it, or it is for the actor: another person must approve
}

// Waiting lists the invitations that wait for approval, oldest first.
func (s *Service) Waiting(ctx context.Context, by portal.Actor) ([]WaitingInvitation, error) {
	if err := s.canAny(ctx, by, authz.Approve); err != nil {
		return nil, err
	}
	invitations, err := s.c.Store.WaitingInvitations(ctx, s.c.Now(), maxWaiting)
	if err != nil {
		return nil, storeErr("listing waiting invitations", err)
	}
	var ids []portal.PersonID
	for _, i := range invitations {
		ids = append(ids, i.Person, i.MadeBy)
	}
	found, err := s.people(ctx, unique(ids))
	if err != nil {
		return nil, err
	}
	names := make(map[portal.PersonID]string, len(found))
	for _, m := range found {
		names[m.Person.ID] = m.Person.Name
	}
	waiting := make([]WaitingInvitation, 0, len(invitations))
	for _, i := range invitations {
		waiting = append(waiting, WaitingInvitation{
			Invitation: i, Person: names[i.Person], MadeBy: names[i.MadeBy],
			Mine: i.MadeBy == by.Person || i.Person == by.Person,
		})
	}
	return waiting, nil
}

// canAny asks whether the actor may do an act on at least some people, and records
// refusals.
func (s *Service) canAny(ctx context.Context, by portal.Actor, act authz.Act) error {
	_, err := authz.CanAny(by.Staff(), act)
	if err == nil {
		return nil
	}
	by.Role = portal.Employee
	s.record(ctx, by, portal.Person{}, refusedAct, "", map[string]string{
		"act": string(act), "reason": string(authz.ReasonOf(err)),
	})
	return err
}

// unique removes duplicates and keeps the order.
func unique(ids []portal.PersonID) []portal.PersonID {
	seen := make(map[portal.PersonID]bool, len(ids))
	var once []portal.PersonID
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			once = append(once, id)
		}
	}
	return once
}

// Approve activates a code that another staff member made. Both people are read again
// and checked as when the code was made. It returns the errors of Invite,
// portal.ErrNotFound for an unknown invitation, and portal.ErrConflict for one that no
// longer waits.
func (s *Service) Approve(ctx context.Context, by portal.Actor, id signin.InvitationID) (signin.Invitation, error) {
	if err := s.canAny(ctx, by, authz.Approve); err != nil {
		return signin.Invitation{}, err
	}
	i, err := s.c.Store.Invitation(ctx, id)
	if err != nil {
		return signin.Invitation{}, storeErr("finding invitation", err)
	}
	target, err := s.person(ctx, i.Person)
	if err != nil {
		return signin.Invitation{}, err
	}
	by, err = s.authorize(ctx, by, authz.Request{Act: authz.Approve, Target: &target, Maker: i.MadeBy}, refusedAct)
	if err != nil {
		return signin.Invitation{}, err
	}
	if err := s.checkMaker(ctx, i, target); err != nil {
		return signin.Invitation{}, err
	}
	if err := s.checkMayEnroll(ctx, by, target); err != nil {
		return signin.Invitation{}, err
	}
	e := s.entry(by, target, audit.InvitationApproved)
	e.Object, e.Detail = string(i.ID), map[string]string{
		"upn": target.UPN, "by": string(i.MadeBy), "expires": i.Expires.UTC().Format(time.RFC3339),
	}
	if s.MailsCodes() {
		e.Detail["code"] = signin.CodeMailed
	}
	err = s.c.Store.ApproveInvitation(ctx, i.ID, by.Person, s.c.Now(), e)
	if err != nil {
		return signin.Invitation{}, storeErr("approving invitation", err)
	}
	i.State, i.Approver = signin.InvitationOpen, by.Person
	return i, nil
}

// checkMaker returns portal.ErrConflict if the maker could not make the code any more.
func (s *Service) checkMaker(ctx context.Context, i signin.Invitation, target portal.Person) error {
	maker, err := s.person(ctx, i.MadeBy)
	if errors.Is(err, portal.ErrNotFound) {
		return portal.ErrConflict
	}
	if err != nil {
		return err
	}
	if _, err := authz.Decide(authz.Request{Actor: maker, Act: authz.Invite, Target: &target}); err != nil {
		return portal.ErrConflict
	}
	return nil
}

// OwnInvitation returns an invitation that the actor made, or portal.ErrNotFound.
func (s *Service) OwnInvitation(ctx context.Context, by portal.Actor, id signin.InvitationID) (signin.Invitation, error) {
	if err := s.canAny(ctx, by, authz.Invite); err != nil {
		return signin.Invitation{}, err
	}
	i, err := s.c.Store.Invitation(ctx, id)
	if err == nil && i.MadeBy != by.Person {
		err = portal.ErrNotFound
	}
	if err != nil {
		return signin.Invitation{}, storeErr("finding invitation", err)
	}
	return i, nil
}
