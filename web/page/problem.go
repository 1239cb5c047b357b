package page

import "time"

// Kind says which problem a Problem page is about. Where the registrar has a
// reason or a part for it, the kind is the same word, so that
// page.Kind(refusal.Reason) and page.Kind(outage.Part) are kinds.
type Kind string

// The kinds there are, and the status code each is meant for.
const (
	NotFound         Kind = "notfound"          // 404
	CrossSite        Kind = "crosssite"         // 403
	Unreadable       Kind = "unreadable"        // 400
	TooLarge         Kind = "toolarge"          // 413
	MethodNotAllowed Kind = "methodnotallowed"  // 405
	TooMany          Kind = "toomany"           // 429, too many requests from one address
	Busy             Kind = "busy"              // 503, too many enrolments at the same time, takes Retry
	Server           Kind = "server"            // 500
	Issuer           Kind = "issuer"            // 503, takes Retry
	Directory        Kind = "directory"         // 503, takes Retry
	Store            Kind = "store"             // 503, takes Retry
	Provider         Kind = "identity-provider" // 503, takes Detail, the provider's name, and SignIn
	Locked           Kind = "locked"            // 423
	Disabled         Kind = "disabled"          // 403
	ExpiredAccount   Kind = "expired"           // 403
	PasswordOld      Kind = "password-old"      // 403
	NotAllowed       Kind = "not-allowed"       // 403
	NoUPN            Kind = "no-upn"            // 403
	NoSID            Kind = "no-sid"            // 422
	Restricted       Kind = "restricted"        // 403, the account may not sign in from here or at this hour
	Protected        Kind = "protected"         // 403, an account with administrator rights
	Conflicting      Kind = "identity-conflict" // 409, the account's name could be taken for another's
	TooOften         Kind = "too-often"         // 429, takes At, until when
	UnknownPerson    Kind = "unknown-person"    // 403, takes Detail, the provider's name
	BadIdentity      Kind = "bad-identity"      // 403
	SuffixForeign    Kind = "upn-suffix"        // 403, takes Detail, the suffix
	EntryUnread      Kind = "entry-unread"      // 403, the directory does not let the portal read the account
	LinkExpired      Kind = "linkexpired"       // 410, takes DeviceID and DeviceName when the person is known
	LinkUsed         Kind = "linkused"          // 410, takes At, Platform, and DeviceID and DeviceName
	LinkReplaced     Kind = "linkreplaced"      // 410, a newer file took its place; takes DeviceID and DeviceName
	LinkRemoved      Kind = "linkremoved"       // 410, the device was removed; takes DeviceName when the person is known
	LinkBlocked      Kind = "linkblocked"       // 410, the device was blocked; takes DeviceID and DeviceName
	LinkBarred       Kind = "linkbarred"        // 410, the account may have no certificate now
	RenewEarly       Kind = "renew-early"       // 409, takes At, from when on
	DeviceBlocked    Kind = "device-blocked"    // 409
	NotBlocked       Kind = "notblocked"        // 500 or 503, takes Retry
	NotRemoved       Kind = "notremoved"        // 500 or 503, takes Retry
	NotSignedOut     Kind = "notsignedout"      // 500 or 503, takes Retry
	PausedPickup     Kind = "paused-pickup"     // 429, too many wrong pickup codes of one person
	SecondPerson     Kind = "second-person"     // 409, takes Approve: more than one administrator ends alone
	PausedInvites    Kind = "paused-invites"    // 429, too many pickup codes made by one of the staff
	QuotaFull        Kind = "quota"             // on other pages only, takes Limit
	IssuerDenied     Kind = "issuer-denied"     // 403, the CA elsewhere denied the certificate
	NoAuthority      Kind = "no-authority"      // 503, the CA was revoked and none issues in its place
	Halted           Kind = "halted"            // 503, issuing is stopped; takes Detail, what the administrators say
	Changed          Kind = "changed"           // 409, changed since the form was shown
	AccessRole       Kind = "access-role"       // 403, no role of the person may do it
	AccessSelf       Kind = "access-self"       // 403, not for oneself
	AccessSame       Kind = "access-same"       // 403, not by who made it
	AccessProtected  Kind = "access-protected"  // 403, the other person is protected
	AccessStaff      Kind = "access-staff"      // 403, the other person is staff
	AccessUnread     Kind = "access-unread"     // 403, the account of the other person cannot be read
)

// Problem is the page of an error that is not one of a form field: what happened, what
// it means, what to do, and how to reach the helpdesk.
type Problem struct {
	Layout
	Kind       Kind
	At         time.Time // when it happened, or until when it lasts; zero leaves the sentence out
	Platform   string    // one of the platforms; empty leaves the sentence out
	DeviceName string
	DeviceID   string
	Detail     string // name of the group for NotAllowed, the suffix for SuffixForeign, name of the provider for Provider and UnknownPerson
	Limit      int    // for a full quota: how many devices a person may have
	SignIn     string // for Provider: address of the sign-in page; empty when no password is taken
	Approve    string // for SecondPerson: address of the page where another administrator approves
	Retry      *Retry // "Try again"; nil offers a link home instead
}

func (Problem) name() string { return "problem" }

// Quota reports that the person has as many devices as they may have.
func (p Problem) Quota() bool { return p.Kind == QuotaFull }

// DeviceButton is the catalogue key of the button that leads to the device behind
// a dead link; empty when there is nothing to do there.
func (p Problem) DeviceButton() string {
	if p.DeviceID == "" {
		return ""
	}
	switch p.Kind {
	case LinkExpired, LinkUsed:
		return "device.newfile"
	case LinkReplaced, LinkBlocked:
		return "problem.device"
	}
	return ""
}
