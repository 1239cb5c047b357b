package enroll

import (
	"time"

	"certportal/internal/portal"
)

// Fault is the likeliest reason why a device does not work, as far as the portal knows.
type Fault string

// The faults, in the order in which they are looked for: what is certain comes first,
// and what ends every use before what ends some.
const (
	FaultBlocked       Fault = "blocked"
	FaultAccount       Fault = "account"       // the directory refuses the account
	FaultNeverFetched  Fault = "neverfetched"  // the certificate ended because nothing fetched its file
	FaultEnded         Fault = "ended"         // it was revoked for another reason
	FaultVoid          Fault = "void"          // its CA was revoked
	FaultExpired       Fault = "expired"       // it ran out
	FaultRenamed       Fault = "renamed"       // it has names that the account has no longer
	FaultSuperseded    Fault = "superseded"    // it was replaced, and what replaced it is gone
	FaultNotDownloaded Fault = "notdownloaded" // nothing fetched it
	FaultEarlier       Fault = "earlier"       // the device showed an earlier certificate since it got this one
	FaultMail          Fault = "mail"          // it was shown a short while ago and is good: the fault is elsewhere
	FaultTestAgain     Fault = "testagain"     // it was shown, and was good then
	FaultFile          Fault = "file"          // its file was downloaded again and again, and it was never seen to work
	FaultUntested      Fault = "untested"      // it was downloaded, and more is not known
)

// Faults lists all faults in their order.
func Faults() []Fault {
	return []Fault{
		FaultBlocked, FaultAccount, FaultNeverFetched, FaultEnded, FaultVoid, FaultExpired, FaultRenamed, FaultSuperseded,
		FaultNotDownloaded, FaultEarlier, FaultMail, FaultTestAgain, FaultFile, FaultUntested,
	}
}

const (
	// shownLately is how long a good test speaks for a certificate.
	shownLately = 24 * time.Hour

	// manyDownloads is from when on downloads are more than the two of one tap on a phone.
	manyDownloads = 3
)

// FaultOf finds the likeliest reason why the device does not work, from the use of its
// certificate and what the directory refuses its person; nil for nothing that is known.
func (r *Registrar) FaultOf(d portal.Device, u Use, refusal *portal.Refusal) Fault {
	now, c := r.c.Now(), d.Certificate
	state := d.State(now)
	switch {
	case !d.Blocked.IsZero():
		return FaultBlocked
	case refusal != nil && endsUse(refusal.Reason), c.Status != portal.Revoked && barsAccount(c.Changed):
		return FaultAccount
	case state == portal.StateNeverFetched:
		return FaultNeverFetched
	case c.Status == portal.Revoked:
		return FaultEnded
	case state == portal.StateExpired:
		return FaultExpired
	case !c.Void.IsZero():
		return FaultVoid
	case c.Changed.Outdates():
		return FaultRenamed
	case c.Status == portal.Superseded:
		return FaultSuperseded
	case state == portal.StateMaking, c.Delivered.IsZero():
		return FaultNotDownloaded
	}
	return faultInUse(c, u, now)
}

// faultInUse is FaultOf for a certificate that is in force and that the device got.
func faultInUse(c portal.Certificate, u Use, now time.Time) Fault {
	switch {
	case u.Earlier.After(c.Delivered) && u.Earlier.After(u.At):
		return FaultEarlier
	case u.Verdict == portal.VerdictWorks && now.Sub(u.At) < shownLately:
		return FaultMail
	case u.Verdict == portal.VerdictWorks:
		return FaultTestAgain
	case u.Downloads >= manyDownloads && c.Works.IsZero():
		return FaultFile
	}
	return FaultUntested
}

// endsUse reports whether an account that is refused for the reason cannot sign in with a
// certificate either. The other reasons concern new certificates only.
func endsUse(why portal.Reason) bool {
	switch why {
	case portal.Disabled, portal.Expired, portal.Locked, portal.Protected, portal.UnknownPerson:
		return true
	}
	return false
}

// barsAccount reports whether the drift watch found that the account ends its certificates.
func barsAccount(c portal.Change) bool {
	switch c {
	case portal.UPNReused, portal.AccountGone, portal.AccountDisabled, portal.AccountExpired, portal.BecameProtected:
		return true
	}
	return false
}
