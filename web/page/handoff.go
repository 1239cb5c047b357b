package page

import "time"

// The states of a hand-off that the desktop's page distinguishes, as Handoff.State
// names them. All others mean that the code has expired.
const (
	HandoffNone     = ""
	HandoffOpen     = "open"
	HandoffRedeemed = "redeemed"
	HandoffBurnt    = "burnt"
)

// Handoff is /handoff, the desktop's end of the way to a phone. Its button posts
// to the same path, without any field.
type Handoff struct {
	Layout
	State   string
	Number  string    // two digits; nowhere but here
	Code    string    // grouped, "7F3K-9QXM"
	Address string    // where the code is entered, without scheme: "certs.example.com/go"
	QR      QR        // of the address with the code
	Expires time.Time // end of the code
	Device  string    // that got its certificate on the phone; empty while none has
}

func (Handoff) name() string { return "handoff" }

// H1 is the catalogue key of the heading.
func (p Handoff) H1() string {
	switch p.State {
	case HandoffNone, HandoffOpen:
		return "handoff.h1"
	case HandoffRedeemed:
		return "handoff.done.h1"
	case HandoffBurnt:
		return "handoff.burnt.h1"
	}
	return "handoff.over.h1"
}

// Go is /go, where a phone without a camera enters the code. The form posts code
// to the same path.
type Go struct {
	Layout
	Code   string // as it was typed
	Errors []FieldError
}

func (Go) name() string { return "go" }

func (p Go) faults() []FieldError { return p.Errors }

// GoConfirm is /go/{code}, the phone's end: it names the person by initials alone,
// because link previews read it too. The form posts number to the same path.
type GoConfirm struct {
	Layout
	Code   string // as in the path
	Masked string // "L** W**"
	Number string // as it was typed
	Errors []FieldError
}

func (GoConfirm) name() string { return "goconfirm" }

func (p GoConfirm) faults() []FieldError { return p.Errors }

// GoOver says that a code opens nothing, or was used up by a wrong number.
type GoOver struct {
	Layout
	Wrong bool
}

func (GoOver) name() string { return "goover" }

// GoLimited says what a phone that came by a hand-off may not do.
type GoLimited struct {
	Layout
	DeviceID string // device it got its certificate for; empty before
}

func (GoLimited) name() string { return "golimited" }
