package signin

import (
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// InvitationLife is how long a pickup code may be used where no setting says
// otherwise.
const InvitationLife = 24 * time.Hour

// MaxCheckNote is the longest note on how the person was recognised, in characters.
const MaxCheckNote = 200

// CodeMailed is the detail "code" of audit entries about codes that go to the person's
// mail address and are shown to no staff.
const CodeMailed = "mailed"

// InvitationID names an invitation for good; it opens nothing.
type InvitationID string

// Check is how staff verified the identity of the person.
type Check string

// The checks, as the form field "checked" names them. The audit log keeps them: add,
// do not rename.
const (
	CheckInPerson Check = "in-person"   // with a badge
	CheckCallback Check = "called-back" // on the number in the directory
	CheckVideo    Check = "video"       // with a colleague who knows them
	CheckOther    Check = "other"       // in words
)

// ParseCheck reads the value of the form field.
func ParseCheck(s string) (Check, bool) {
	c := Check(s)
	return c, slices.Contains([]Check{CheckInPerson, CheckCallback, CheckVideo, CheckOther}, c)
}

// Purpose is what an invitation is for.
type Purpose string

// The purposes, as the form field "purpose" names them. The audit log keeps them:
// add, do not rename.
const (
	ForNew    Purpose = "new"    // another phone
	ForLost   Purpose = "lost"   // in place of a device that is blocked for it
	ForBroken Purpose = "broken" // what was installed does not work
)

// ParsePurpose reads the value of the form field.
func ParsePurpose(s string) (Purpose, bool) {
	p := Purpose(s)
	return p, slices.Contains([]Purpose{ForNew, ForLost, ForBroken}, p)
}

// InvitationState is what became of an invitation.
type InvitationState string

// The states. The last two are not kept: they follow from the time and from how the
// row is authenticated.
const (
	InvitationWaiting  InvitationState = "waiting"  // for the approval of a second person
	InvitationOpen     InvitationState = "open"     // its code works
	InvitationRedeemed InvitationState = "redeemed" // a certificate was recorded with it
	InvitationEnded    InvitationState = "ended"    // a newer one took its place
	InvitationExpired  InvitationState = "expired"
	InvitationVoid     InvitationState = "void" // not recorded by this portal, or changed since, or by an earlier version
)

// Invitation is the right of one person to enrol once, given by staff, redeemed
// with a code that the person alone enters on their phone. It holds no key and
// leads to none: the key is made when the person redeems it.
type Invitation struct {
	ID       InvitationID
	Person   portal.PersonID
	MadeBy   portal.PersonID
	MadeRole portal.Role
	Made     time.Time
	Check    Check
	Note     string // on the check; required for CheckOther
	Purpose  Purpose
	Device   portal.DeviceID // that it is about; empty for none

	// Alone lets the code replace a password: a client that sends it gets a session
	// that is good for this one certificate.
	Alone bool

	State    InvitationState
	Expires  time.Time
	Approver portal.PersonID // empty before approval, or where none is needed
	Closed   time.Time       // when it was redeemed or ended; zero before
	Serial   ca.Serial       // zero until redeemed
}

// At is the state at a moment: the time of what was not used may be over.
func (i Invitation) At(now time.Time) InvitationState {
	if (i.State == InvitationOpen || i.State == InvitationWaiting) && !now.Before(i.Expires) {
		return InvitationExpired
	}
	return i.State
}

// InvitationOffer is an invitation to be recorded.
type InvitationOffer struct {
	Invitation
	CodeHash [32]byte
	Entry    audit.Entry
}
