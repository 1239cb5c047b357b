package portal

import "time"

// State is how far a certificate came, as every page names it: to its owner, to the
// helpdesk and to administrators.
type State string

// The states.
const (
	StateMaking        State = "making"        // being issued
	StateNotDownloaded State = "notdownloaded" // its file waits to be fetched
	StateDownloaded    State = "downloaded"    // the device has it; whether it works is not known
	StateWorks         State = "works"         // it was seen to work, see Certificate.Works
	StateEndsSoon      State = "endssoon"      // it is valid for EndsSoon or less
	StateReplaced      State = "replaced"      // a newer one took its place; it may be valid until Certificate.Ends
	StateVoid          State = "void"          // no server accepts it: the CA that issued it was revoked
	StateBlocked       State = "blocked"       // revoked for another reason
	StateExpired       State = "expired"
	StateNeverFetched  State = "neverfetched" // ended because nothing fetched its file
	StateRemoved       State = "removed"      // of a device that its person removed; no certificate has it
)

// States lists the states in the order of a certificate's life.
func States() []State {
	return []State{
		StateMaking, StateNotDownloaded, StateDownloaded, StateWorks, StateEndsSoon, StateVoid, StateReplaced, StateBlocked,
		StateExpired, StateNeverFetched,
	}
}

// EndsSoon is the remaining validity from which a certificate ends soon.
const EndsSoon = 30 * 24 * time.Hour

// Proof is by what a certificate was seen to work.
type Proof string

// The proofs.
const (
	ProofPerson  Proof = "person"  // its owner says so
	ProofRenewal Proof = "renewal" // the device signed a renewal with it
	ProofShown   Proof = "shown"   // a browser showed it to the check address
)

// State is the state of the certificate at a time.
func (c Certificate) State(now time.Time) State {
	switch {
	case c.Status == Pending:
		return StateMaking
	case c.Status == Revoked && (c.Cause == Undelivered || c.Cause == Abandoned):
		return StateNeverFetched
	case c.Status == Superseded, c.Status == Revoked && c.Cause == Replaced:
		return StateReplaced
	case c.Status == Revoked:
		return StateBlocked
	case !now.Before(c.NotAfter):
		return StateExpired
	case !c.Void.IsZero():
		return StateVoid
	case c.Delivered.IsZero():
		return StateNotDownloaded
	case c.NotAfter.Sub(now) <= EndsSoon:
		return StateEndsSoon
	case !c.Works.IsZero():
		return StateWorks
	}
	return StateDownloaded
}

// State is the state of the device at a time: removed, blocked, or that of its certificate. A device
// that was given a profile and has not asked for its certificate yet has not downloaded one.
func (d Device) State(now time.Time) State {
	switch {
	case !d.Removed.IsZero():
		return StateRemoved
	case !d.Blocked.IsZero():
		return StateBlocked
	case d.Certificate.Status == "":
		return StateNotDownloaded
	}
	return d.Certificate.State(now)
}
