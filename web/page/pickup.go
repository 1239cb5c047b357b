package page

import "time"

// The states of a pickup code that does not work, as PickupOver.State names them.
const (
	CodeRedeemed = "redeemed"
	CodeEnded    = "ended"
	CodeWaiting  = "waiting"
	CodeExpired  = "expired"
	CodeVoid     = "void"  // not recorded by this portal
	CodeUsedUp   = "spent" // by this very request, or another at the same time
)

// Pickup is /pickup: the form posts code to the same path. At /pickup/{code} the
// code is in the address and only waits for a press of the button.
type Pickup struct {
	Layout
	Code      string // as it was typed, or as in the address
	Fixed     bool   // it is from the address
	Required  bool   // certificates are issued with a code only
	Anonymous bool   // without a session: only some codes replace the password
	Masked    string // masked name of the person, without a session: "L** W**"; empty otherwise

	Errors    []FieldError
	Counted   bool // TriesLeft says something
	TriesLeft int
	Pause     time.Duration
}

func (Pickup) name() string { return "pickup" }

func (p Pickup) faults() []FieldError { return p.Errors }

// Minutes is how long the pause after the last try is.
func (p Pickup) Minutes() int { return int(p.Pause / time.Minute) }

// PickupReady says that a code is right and what it is for: a new file for a
// device. Its button posts request to /devices/{id}/install.
type PickupReady struct {
	Layout
	Device DeviceCard
	Token  string // idempotency token, sent along as "request"
}

func (PickupReady) name() string { return "pickupready" }

// PickupOver says to its person why a code does not work.
type PickupOver struct {
	Layout
	State string
	At    time.Time // when it was used or replaced, or ran out; zero when that is not known
}

func (PickupOver) name() string { return "pickupover" }

// Key begins the catalogue keys of the state.
func (p PickupOver) Key() string { return "pickup." + p.State }
