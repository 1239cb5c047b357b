package page

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Login is /login. The form posts username, password and, when it is set, next.
// With a Provider the way there comes first, and the form is folded away.
type Login struct {
	Layout
	Pickup      bool   // there are pickup codes, and a page that takes them
	CodeAlone   bool   // some of them stand for a password
	Username    string // as it was typed; the password never comes back
	Example     string // of a username, such as "lwei or lwei@example.com"; optional
	Next        string // local path to return to; empty for the home page
	Provider    string // name of the identity provider people may use; empty without
	PasswordOff bool   // there is no form; needs a Provider
	Errors      []FieldError
	TriesLeft   int           // after a wrong password; with none, signing in is paused
	Pause       time.Duration // how long that pause is; zero counts nothing down
	Over        string        // why the session is over; empty when there was none
	Again       bool          // there is a session, but the page needs a fresh sign-in
	AgainStaff  bool          // the page changes something as staff
}

// Why a session is over, as Login.Over says it.
const (
	OverIdle  = "idle"  // nothing happened for a while
	OverLost  = "lost"  // a device of the person was reported lost
	OverOther = "other" // ended, or not known
)

func (Login) name() string { return "login" }

func (p Login) faults() []FieldError { return p.Errors }

// Aim is what a person came to do, "lost" or "pickup", where the sign-in is only the
// way there; else "".
func (p Login) Aim() string {
	switch path, _, _ := strings.Cut(p.Next, "?"); {
	case path == "/lost" || strings.HasPrefix(path, "/devices/") && strings.HasSuffix(path, "/lost"):
		return "lost"
	case path == "/pickup" || strings.HasPrefix(path, "/pickup/"):
		return "pickup"
	}
	return ""
}

// SSO is the address of the way to the identity provider.
func (p Login) SSO() string {
	if p.Next == "" {
		return "/login/sso"
	}
	return "/login/sso?next=" + url.QueryEscape(p.Next)
}

// PauseMinutes is the length of the pause, a minute begun counted whole.
func (p Login) PauseMinutes() int { return int((p.Pause + time.Minute - 1) / time.Minute) }

// FormOpen reports whether the folded form must be seen: something in it is wrong.
func (p Login) FormOpen() bool {
	return slices.ContainsFunc(p.Errors, func(e FieldError) bool { return e.Field != "sso" })
}

// Paused says that sign-ins are paused after too many wrong passwords: for an account,
// or for all people in a network.
type Paused struct {
	Layout
	Until   time.Time
	Network bool
	Codes   bool // not signing in rests, but the codes of hand-offs from a network
}

func (Paused) name() string { return "paused" }
