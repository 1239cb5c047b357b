package page

import "time"

// The states of a blocked device, as Blocked.List names them.
const (
	ListDone = "done" // the list of revoked certificates in force says so
	ListSoon = "soon" // it is being made; the page reloads itself
	ListLate = "late" // it should have been made by now
	ListNone = "none" // there was nothing to list
	// The CA that must list it is the company's, which was asked, and then confirmed it.
	ListTheirs     = "theirs"
	ListTheirsDone = "theirsdone"

	// Of those that the CA confirmed and whose lists are known: they name it, do not name it
	// yet, or should name it and do not.
	ListTheirsListed   = "theirslisted"
	ListTheirsUnlisted = "theirsunlisted"
	ListTheirsMissing  = "theirsmissing"

	ListWaits = "waits" // its certificate works until a second administrator agrees
)

// The reasons for blocking a device, as the form field "reason" names them.
const (
	LossLost     = "lost"
	LossRetired  = "retired"
	LossReturned = "returned"
)

// Renew is /devices/{id}/renew: what it does, and one button, which posts request.
// Where the person has the key, it posts csr too.
type Renew struct {
	Layout
	Device  DeviceCard
	Until   time.Time // how long the old certificate would work beside the new one; zero when it ran out
	Token   string    // idempotency token, sent along as "request"
	Profile bool      // the device installs a profile
	FromCSR bool      // the person has the key
	Request string    // as it was pasted
	Errors  []FieldError
}

func (Renew) name() string { return "renew" }

func (p Renew) faults() []FieldError { return p.Errors }

// LostDevices is /lost: the devices that can be blocked.
type LostDevices struct {
	Layout
	Devices []DeviceCard
}

func (LostDevices) name() string { return "lostdevices" }

// Lost is /devices/{id}/lost before the device is blocked. The form posts reason.
type Lost struct {
	Layout
	Device DeviceCard
	Reason string // chosen one; empty chooses LossLost
	Errors []FieldError
}

func (Lost) name() string { return "lost" }

func (p Lost) faults() []FieldError { return p.Errors }

// Reasons lists the reasons in the order of the page.
func (p Lost) Reasons() []string { return []string{LossLost, LossRetired, LossReturned} }

// Chosen reports whether a reason is the chosen one.
func (p Lost) Chosen(reason string) bool {
	return reason == p.Reason || p.Reason == "" && reason == LossLost
}

// Blocked is /devices/{id}/lost of a device that is blocked.
type Blocked struct {
	Layout
	Device    DeviceCard
	At        time.Time // when it was blocked
	List      string    // one of the states
	Confirmed time.Time // when a CA elsewhere confirmed it; zero for others

	// Until is until when a server may still go by an older list or answer; zero when none
	// does. It is for ListDone, ListTheirsListed and ListTheirsUnlisted.
	Until  time.Time
	Stolen bool // another person may have it
	Mobile bool // the page is open on a phone or tablet
}

func (Blocked) name() string { return "blocked" }

// Phone reports whether the next device is likely a phone.
func (p Blocked) Phone() bool { return isPhone(p.Device) }

// Elsewhere reports whether the next device is a phone and this page is open on a computer.
func (p Blocked) Elsewhere() bool { return p.Phone() && !p.Mobile }

// Over reports whether no server can accept the device any more.
func (p Blocked) Over() bool {
	return p.List == ListNone || (p.List == ListDone || p.List == ListTheirsListed) && p.Until.IsZero()
}

// Rename is /devices/{id}/rename. The form posts name.
type Rename struct {
	Layout
	Device DeviceCard
	Name   string // as it was typed; at first the name it has
	Errors []FieldError
}

func (Rename) name() string { return "rename" }

func (p Rename) faults() []FieldError { return p.Errors }
