// Package authz decides who may do what. Pages and commands ask [Decide] before they
// read or change anything; unknown acts and roles are refused.
//
// Decisions are made on directory records that the caller reads for the current
// request, so that a withdrawn role has no effect from the next request on. Helpdesk
// may not act on protected people and on staff (attack A3); people may not invite
// themselves or approve what they made (attack A4); auditors may change nothing.
//
// The package reads no clock and records nothing: the caller records the decision.
package authz

import (
	"errors"
	"slices"

	"certportal/internal/portal"
)

// Act is an operation that the policy decides on. The audit log contains the values:
// add, do not rename.
type Act string

// The acts. Own is for every signed-in person, the others are for staff.
const (
	Own Act = "own" // the actor's own devices and certificates

	FindPeople       Act = "people.find"
	ReadPerson       Act = "person.read" // account, devices, events and failed attempts of one person
	ReadOverview     Act = "overview.read"
	ReadCertificates Act = "certificates.read" // all certificates and devices
	ReadAuditLog     Act = "ledger.read"
	ReadRoles        Act = "roles.read" // the members of each role
	ReadChecks       Act = "checks.read"
	Export           Act = "records.export"

	Invite      Act = "invitation.make"     // give a person a pickup code
	Approve     Act = "invitation.approve"  // activate a pickup code of another staff member
	Block       Act = "device.block"        // revoke a device on its owner's request
	Revoke      Act = "certificate.revoke"  // a certificate, a device or everything of one person
	RevokeMany  Act = "certificates.revoke" // certificates of many people at once
	ApproveBulk Act = "order.approve"       // approve a bulk revocation of another administrator
	HaltIssuing Act = "issuing.halt"        // stop and resume all issuing
	RunChecks   Act = "checks.run"          // contacts other servers, sends a test mail
	PublishCRL  Act = "lists.publish"       // publish a CRL now
	TestIssue   Act = "authority.test"      // issue and revoke a test certificate
)

// Changes reports whether the act changes something. Such acts need a recent
// sign-in, and auditors may do none of them.
func (a Act) Changes() bool {
	return slices.Contains([]Act{
		Invite, Approve, Block, Revoke, RevokeMany, ApproveBulk, HaltIssuing, RunChecks, PublishCRL, TestIssue,
	}, a)
}

// needsTarget reports whether a request for the act must name a person.
func (a Act) needsTarget() bool {
	return slices.Contains([]Act{Own, Invite, Approve, Block, Revoke}, a)
}

// needsMaker reports whether a request for the act must name who made the thing that
// it approves.
func (a Act) needsMaker() bool { return a == Approve || a == ApproveBulk }

// Acts lists the acts of a role. [Decide] may still refuse them for some targets.
func Acts(role portal.Role) []Act {
	switch role {
	case portal.Employee:
		return []Act{Own}
	case portal.Helpdesk:
		return []Act{FindPeople, ReadPerson, Invite, Approve, Block}
	case portal.Auditor:
		return []Act{FindPeople, ReadPerson, ReadOverview, ReadCertificates, ReadAuditLog, ReadRoles, ReadChecks, Export}
	case portal.Admin:
		return []Act{
			FindPeople, ReadPerson, ReadOverview, ReadCertificates, ReadAuditLog, ReadRoles, ReadChecks, Export,
			Invite, Approve, Block, Revoke, RevokeMany, ApproveBulk, HaltIssuing, RunChecks, PublishCRL, TestIssue,
		}
	}
	return nil
}

// Roles lists the roles in the order in which they are tried, least privileged first:
// the audit log names the lowest role that allows the act.
func Roles() []portal.Role {
	return []portal.Role{portal.Employee, portal.Helpdesk, portal.Auditor, portal.Admin}
}

// Reason is why an act is refused, as a key of the language catalogues ("access." +
// Reason). The audit log contains the values: add, do not rename.
type Reason string

// The reasons.
const (
	ReasonRole      Reason = "role"       // no role of the actor allows the act
	ReasonAccount   Reason = "account"    // the actor's account is disabled or expired
	ReasonSelf      Reason = "self"       // the actor is the target
	ReasonSame      Reason = "same"       // the actor made what is to be approved
	ReasonProtected Reason = "protected"  // the target is protected
	ReasonStaff     Reason = "staff"      // the target is staff and the actor only helpdesk
	ReasonNoTarget  Reason = "nobody"     // the request lacks the target or the maker
	ReasonNotOwn    Reason = "not-theirs" // Own, and the target is not the actor
)

// Error says that the policy refuses an act. Pages show the catalogue's sentence for
// the reason.
type Error struct {
	Act    Act
	Reason Reason
}

// Error is for operators.
func (e *Error) Error() string { return "denied: " + string(e.Act) + ": " + string(e.Reason) }

// ReasonOf returns the reason when err is or wraps an *[Error], else "".
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// Request is what an actor wants to do. Actor and Target are directory records that
// were read for this request.
type Request struct {
	Actor portal.Person
	Act   Act

	// Target is the person the act concerns; required for Own and for acts about one
	// person.
	Target *portal.Person

	// Maker made what Approve and ApproveBulk approve.
	Maker portal.PersonID
}

// CanAny returns the role in which the actor may do the act to at least some targets,
// or an *[Error]. It decides whether a page or a link is shown while no target is
// known; the act itself needs [Decide].
func CanAny(actor portal.Person, act Act) (portal.Role, error) {
	if actor.ID == "" || actor.Disabled || actor.Expired {
		return "", &Error{act, ReasonAccount}
	}
	for _, role := range Roles() {
		if actor.Has(role) && slices.Contains(Acts(role), act) {
			return role, nil
		}
	}
	return "", &Error{act, ReasonRole}
}

// Decide returns the least privileged role in which the actor may do the act. When no
// role allows it, the *[Error] has the reason of the most privileged one that was tried.
func Decide(r Request) (portal.Role, error) {
	if _, err := CanAny(r.Actor, r.Act); err != nil {
		return "", err
	}
	var denied error
	for _, role := range Roles() {
		if !r.Actor.Has(role) || !slices.Contains(Acts(role), r.Act) {
			continue
		}
		reason := refuse(r, role)
		if reason == "" {
			return role, nil
		}
		denied = &Error{r.Act, reason}
	}
	return "", denied
}

// refuse returns why an act that the role allows in general is refused for this
// request, or "".
func refuse(r Request, role portal.Role) Reason {
	switch {
	case r.Act.needsTarget() && (r.Target == nil || r.Target.ID == ""):
		return ReasonNoTarget
	case r.Act == Own && r.Target.ID != r.Actor.ID:
		return ReasonNotOwn
	case r.Act.needsMaker() && r.Maker == "":
		return ReasonNoTarget
	case r.Act.needsMaker() && r.Maker == r.Actor.ID:
		return ReasonSame
	case r.Act == Invite || r.Act == Approve:
		return refuseCode(r, role)
	case r.Act == Block && role == portal.Helpdesk:
		return refuseHelpdesk(*r.Target)
	}
	return ""
}

// refuseCode refuses pickup codes for the actor and for protected people. The maker of
// a code can read it, and with the certificate of a protected person it would open the
// domain.
func refuseCode(r Request, role portal.Role) Reason {
	switch {
	case r.Target.ID == r.Actor.ID:
		return ReasonSelf
	case r.Target.Protected:
		return ReasonProtected
	case role == portal.Helpdesk:
		return refuseHelpdesk(*r.Target)
	}
	return ""
}

// refuseHelpdesk refuses helpdesk acts on people with more rights than the helpdesk.
func refuseHelpdesk(target portal.Person) Reason {
	switch {
	case target.Protected:
		return ReasonProtected
	case IsStaff(target):
		return ReasonStaff
	}
	return ""
}

// IsStaff reports whether the person has a role beyond Employee.
func IsStaff(p portal.Person) bool {
	return p.Has(portal.Helpdesk) || p.Has(portal.Auditor) || p.Has(portal.Admin)
}
