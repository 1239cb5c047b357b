package portal

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound says that the object does not exist or belongs to another person:
	// the two look alike on purpose.
	ErrNotFound = errors.New("not found")

	// ErrConflict means that another request changed the object in between.
	ErrConflict = errors.New("changed in between")

	// ErrCredentials says that name and password do not belong together. Wrong
	// and unknown are the same error, in the same time.
	ErrCredentials = errors.New("wrong username or password")

	// ErrBusy says that too many enrolments are in progress: nothing was decided, and
	// trying again in a few seconds helps.
	ErrBusy = errors.New("too many enrolments at the same time")

	// ErrUnanswered says that a password was sent to the directory and no answer
	// came. The directory may have counted it as wrong.
	ErrUnanswered = errors.New("no answer to the password")
)

// Reason is why the portal refuses, as a key of the language catalogues
// ("refusal." + Reason). The keys are stable: the audit log keeps them.
type Reason string

// The reasons there are. Those of a form field are shown at the field, the
// others on a page of their own.
const (
	NameEmpty     Reason = "name-empty"        // the device has no name
	NameLong      Reason = "name-long"         // over MaxDeviceName characters
	NameTaken     Reason = "name-taken"        // another working device is called so
	PlatformBad   Reason = "platform"          // not a platform of the list
	QuotaReached  Reason = "quota"             // Limit devices already work
	NotAllowed    Reason = "not-allowed"       // not in the group that may enrol
	Disabled      Reason = "disabled"          // the account is switched off
	Expired       Reason = "expired"           // the account has run out
	Locked        Reason = "locked"            // the directory locked the account
	PasswordOld   Reason = "password-old"      // right password, but it has run out
	Restricted    Reason = "restricted"        // right password, but not from here or not at this hour
	Protected     Reason = "protected"         // a certificate of this person gives control over the domain
	RenamedOften  Reason = "renamed-often"     // Limit renames within an hour, until Until
	TooOften      Reason = "too-often"         // Limit certificates within an hour, until Until
	RenewEarly    Reason = "renew-early"       // the certificate of the device Value is to be renewed from Until on
	DeviceBlocked Reason = "device-blocked"    // the device Value is blocked, or holds nothing to renew
	UnknownPerson Reason = "unknown-person"    // the identity provider knows them, the directory does not
	NoUPN         Reason = "no-upn"            // the directory gives no UPN
	NoSID         Reason = "no-sid"            // the directory gives no SID, and must
	BadIdentity   Reason = "bad-identity"      // UPN, SID or mail cannot stand in a certificate
	EntryUnread   Reason = "entry-unread"      // the directory does not let the portal read the account in full
	Conflicting   Reason = "identity-conflict" // UPN or login could mean another person; Value is the Conflict
	SuffixForeign Reason = "upn-suffix"        // the UPN ends in Value, which is not set up
	PausedSignIn  Reason = "paused"            // too many wrong passwords, until Until
	PausedAddress Reason = "paused-address"    // too many wrong passwords from this network, until Until
	PausedCodes   Reason = "paused-codes"      // too many codes that open nothing from this network, until Until
	CodeNeeded    Reason = "code-needed"       // people enrol with a pickup code only
	CodeOver      Reason = "code-over"         // the pickup code was used, replaced or ran out in between
	PausedPickup  Reason = "paused-pickup"     // too many wrong pickup codes of the person, until Until
	PausedInvites Reason = "paused-invites"    // one of the staff made Limit codes within an hour, until Until
	SecondPerson  Reason = "second-person"     // more than the Limit that one administrator ends alone; Value is the device
	CodeNoMail    Reason = "code-no-mail"      // the code goes to the person's mail address only, and there is none
	CodeNotSent   Reason = "code-not-sent"     // or the mail server did not take it
	CheckMissing  Reason = "check-missing"     // staff did not say how they recognised the person
	CheckNote     Reason = "check-note"        // nor in words, where the list does not have it
	CheckLong     Reason = "check-long"        // over MaxCheckNote characters
	BlockReason   Reason = "block-reason"      // staff did not say why a device is blocked
	PurposeBad    Reason = "purpose"           // not a purpose of the list, or not without a device
	Halted        Reason = "halted"            // an administrator stopped all issuing; Value is what they say
	NoAuthority   Reason = "no-authority"      // the CA was revoked, and none issues in its place yet
	IssuerDenied  Reason = "issuer-denied"     // the CA that issues, which the portal does not run, said no
	CauseBad      Reason = "cause"             // staff did not choose why something ends
	CommentEmpty  Reason = "comment-empty"     // nor say it in words
	CommentLong   Reason = "comment-long"      // over Limit characters
	CountWrong    Reason = "count"             // the number typed is not that of the certificates, Limit
	FilterEmpty   Reason = "filter-empty"      // a bulk revocation of all certificates there are
	AccountFormat Reason = "account-format"    // an account of the built-in directory is not well formed
)

// Refusal is an error that the person can correct. It is fit to print:
// Reason picks the sentence, the other fields fill it.
type Refusal struct {
	Reason Reason
	Field  string    // form field it belongs to, empty for a page of its own
	Value  string    // what the sentence names: a device, a wrong value
	Limit  int       // the number that was reached
	Until  time.Time // when to try again
}

// Error is for operators; people read the catalogue's sentence.
func (r *Refusal) Error() string {
	if r.Value == "" {
		return "refused: " + string(r.Reason)
	}
	return fmt.Sprintf("refused: %s: %q", r.Reason, r.Value)
}

// Part is a piece of the installation that can be out of order.
type Part string

// The parts an Outage names.
const (
	PartDirectory Part = "directory"
	PartProvider  Part = "identity-provider"
	PartIssuer    Part = "issuer"
	PartStore     Part = "store"
)

// Outage says that a part did not answer or could not do its work: nothing was
// decided, nothing was issued, and trying again later may help.
type Outage struct {
	Part Part
	Err  error
}

// Error names the part and the cause, for operators.
func (o *Outage) Error() string { return string(o.Part) + ": " + o.Err.Error() }

// Unwrap gives the cause, for operators.
func (o *Outage) Unwrap() error { return o.Err }

// Gone says that a pickup existed and is closed: used up, ended with its
// certificate or device, or, when none is set, out of time.
type Gone struct {
	Used     bool      // read MaxReads times
	Ended    bool      // the certificate is revoked: a newer file, or the device removed
	Blocked  bool      // the device is blocked
	Removed  bool      // the device itself is removed
	Barred   bool      // the directory says that the person may have no certificate now
	At       time.Time // last complete read, or the end of its time
	Platform Platform  // of the device it was made for
	Device   DeviceID
}

// Word is the end in one word, as the audit log keeps it.
func (g *Gone) Word() string {
	switch {
	case g.Used:
		return "used"
	case g.Blocked:
		return "blocked"
	case g.Removed:
		return "removed"
	case g.Ended:
		return "ended"
	case g.Barred:
		return "barred"
	}
	return "over"
}

// Error says which of the ends it was.
func (g *Gone) Error() string {
	switch {
	case g.Used:
		return "pickup was read as often as allowed"
	case g.Blocked:
		return "pickup ended with its device"
	case g.Ended:
		return "pickup ended with its certificate"
	case g.Barred:
		return "pickup is closed to its person"
	}
	return "pickup has run out"
}

// AsOutage wraps an error of a part, but lets through what is an answer and not a
// fault: refusals, denials, the sentinels and an outage that already names its
// part.
func AsOutage(part Part, doing string, err error) error {
	var refusal *Refusal
	var denial *Denial
	var known *Outage
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal), errors.As(err, &denial), errors.As(err, &known),
		errors.Is(err, ErrNotFound), errors.Is(err, ErrConflict), errors.Is(err, ErrCredentials):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &Outage{Part: part, Err: fmt.Errorf("%s: %w", doing, err)}
}
