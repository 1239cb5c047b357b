// Package access is the one place that says who may do what: pages, commands and
// whatever comes later ask [Decide], and what it does not know is refused.
//
// It decides on people as the directory knows them at the moment of asking,
// which the caller reads afresh: a role that was taken away is gone with the next
// request. It refuses helpdesk anything about protected people and about staff
// (attack A3), everybody a code for themselves and the approval of their own work
// (attack A4), and auditors whatever changes something.
//
// The package reads no clock, records nothing and knows no page. Who asks it
// records the answer.
package authz

import (
	"errors"
	"slices"

	"certportal/internal/portal"
)

// Act is something a person does in the portal. The names stand in the ledger:
// add, do not rename.
type Act string

// The acts there are. Own is everybody's, the others are for staff.
const (
	Own Act = "own" // one's own devices and certificates

	FindPeople       Act = "people.find"
	ReadPerson       Act = "person.read" // account, devices, events and failed tries of somebody
	ReadOverview     Act = "overview.read"
	ReadCertificates Act = "certificates.read" // all certificates and devices
	ReadLedger       Act = "ledger.read"
	ReadRoles        Act = "roles.read" // who may do what
	ReadChecks       Act = "checks.read"
	Export           Act = "records.export"

	Invite       Act = "invitation.make"     // give somebody a pickup code
	Approve      Act = "invitation.approve"  // let a code that somebody else made work
	Block        Act = "device.block"        // revoke a device because its person asks
	Revoke       Act = "certificate.revoke"  // certificate, device or everything of one person
	RevokeMany   Act = "certificates.revoke" // of many people at once
	ApproveOrder Act = "order.approve"       // carry out what another administrator ordered
	HaltIssuing  Act = "issuing.halt"        // and let it go on
	RunChecks    Act = "checks.run"          // asks other servers, sends a test mail
	Remail       Act = "mail.send"           // try letters again that were given up
	Publish      Act = "lists.publish"       // make a revocation list now
	TestIssue    Act = "authority.test"      // issue a certificate for nobody, and revoke it
)

// Changes reports whether the act changes something. Such acts ask for a recent
// password, and auditors have none of them.
func (a Act) Changes() bool {
	return slices.Contains([]Act{
		Invite, Approve, Block, Revoke, RevokeMany, ApproveOrder, HaltIssuing, RunChecks, Remail, Publish, TestIssue,
	}, a)
}

// personal reports whether the act is about one person, who must be named.
func (a Act) personal() bool { return slices.Contains([]Act{Invite, Approve, Block, Revoke}, a) }

// Acts lists what a role may do, as far as nothing about the other person is in
// the way.
func Acts(role portal.Role) []Act {
	switch role {
	case portal.Employee:
		return []Act{Own}
	case portal.Helpdesk:
		return []Act{FindPeople, ReadPerson, Invite, Approve, Block}
	case portal.Auditor:
		return []Act{FindPeople, ReadPerson, ReadOverview, ReadCertificates, ReadLedger, ReadRoles, ReadChecks, Export}
	case portal.Admin:
		return []Act{
			FindPeople, ReadPerson, ReadOverview, ReadCertificates, ReadLedger, ReadRoles, ReadChecks, Export,
			Invite, Approve, Block, Revoke, RevokeMany, ApproveOrder, HaltIssuing, RunChecks, Remail, Publish, TestIssue,
		}
	}
	return nil
}

// Roles lists the roles in the order in which they are tried: the one with the
// least rights first, for the ledger names the role an act was done in.
func Roles() []portal.Role {
	return []portal.Role{portal.Employee, portal.Helpdesk, portal.Auditor, portal.Admin}
}

// Why is the reason of a refusal, as a key of the language catalogues ("access."
// + Why). The ledger keeps them: add, do not rename.
type Why string

// The reasons there are.
const (
	WhyRole      Why = "role"       // no role of the actor may do it
	WhyAccount   Why = "account"    // the actor's own account is switched off or has run out
	WhySelf      Why = "self"       // not for oneself
	WhySame      Why = "same"       // not by who made it
	WhyProtected Why = "protected"  // the other person is protected
	WhyStaff     Why = "staff"      // the other person is staff, and the actor no administrator
	WhyNobody    Why = "nobody"     // nobody is named, or the act is not one of the list
	WhyAnother   Why = "not-theirs" // what is asked for is not the actor's own
)

// Denied says that the policy refuses an act. It is fit to print: Why picks the
// sentence.
type Denied struct {
	Act Act
	Why Why
}

// Error is for operators; people read the catalogue's sentence.
func (d *Denied) Error() string { return "denied: " + string(d.Act) + ": " + string(d.Why) }

// DeniedWhy gives the reason when err is a refusal of this package, else "".
func DeniedWhy(err error) Why {
	var d *Denied
	if errors.As(err, &d) {
		return d.Why
	}
	return ""
}

// Question is what somebody wants to do.
type Question struct {
	Actor portal.Person // read afresh
	Act   Act

	// Target is whom it is about, read afresh, for acts about one person and for
	// Own. Nobody otherwise.
	Target *portal.Person

	// Maker made what Approve and ApproveOrder approve.
	Maker portal.PersonID
}

// MayTry says in which role somebody may do an act to anybody at all, so that a
// page can be shown before the other person is known. Whoever does the act asks
// [Decide].
func MayTry(actor portal.Person, act Act) (portal.Role, error) {
	if actor.ID == "" || actor.Disabled || actor.Expired {
		return "", &Denied{act, WhyAccount}
	}
	for _, role := range Roles() {
		if actor.Has(role) && slices.Contains(Acts(role), act) {
			return role, nil
		}
	}
	return "", &Denied{act, WhyRole}
}

// Decide says in which role the actor may do the act, or returns the *Denied of
// the role that came furthest.
func Decide(q Question) (portal.Role, error) {
	if _, err := MayTry(q.Actor, q.Act); err != nil {
		return "", err
	}
	var denied error
	for _, role := range Roles() {
		if !q.Actor.Has(role) || !slices.Contains(Acts(role), q.Act) {
			continue
		}
		why := refuse(q, role)
		if why == "" {
			return role, nil
		}
		denied = &Denied{q.Act, why}
	}
	return "", denied
}

// refuse says what is in the way of an act that the role may do in general.
func refuse(q Question, role portal.Role) Why {
	switch {
	case (q.Act.personal() || q.Act == Own) && (q.Target == nil || q.Target.ID == ""):
		return WhyNobody
	case q.Act == Own && q.Target.ID != q.Actor.ID:
		return WhyAnother
	case (q.Act == Approve || q.Act == ApproveOrder) && q.Maker == "":
		return WhyNobody
	case (q.Act == Approve || q.Act == ApproveOrder) && q.Maker == q.Actor.ID:
		return WhySame
	case q.Act == Invite || q.Act == Approve:
		return refuseCode(q, role)
	case q.Act == Block && role == portal.Helpdesk:
		return refuseHelpdesk(*q.Target)
	}
	return ""
}

// refuseCode keeps codes from those whose certificate opens more than a mailbox:
// who gives a code may read it too.
func refuseCode(q Question, role portal.Role) Why {
	switch {
	case q.Target.ID == q.Actor.ID:
		return WhySelf
	case q.Target.Protected:
		return WhyProtected
	case role == portal.Helpdesk:
		return refuseHelpdesk(*q.Target)
	}
	return ""
}

// refuseHelpdesk keeps helpdesk away from people who stand above it.
func refuseHelpdesk(target portal.Person) Why {
	switch {
	case target.Protected:
		return WhyProtected
	case IsStaff(target):
		return WhyStaff
	}
	return ""
}

// IsStaff reports whether somebody holds a role beyond that of an employee.
func IsStaff(p portal.Person) bool {
	return p.Has(portal.Helpdesk) || p.Has(portal.Auditor) || p.Has(portal.Admin)
}
