package page

import "time"

// Login is /login. The form posts username, password and, when it is set, next.
type Login struct {
	Frame
	Username  string // as it was typed; the password never comes back
	Example   string // of a username, such as "lwei or lwei@example.com"; optional
	Next      string // local path to return to; empty for the home page
	Errors    []FieldError
	TriesLeft int  // shown from 1 to 2, after a wrong password; 0 shows nothing
	TimedOut  bool // the session ended because nothing happened
}

func (Login) name() string { return "login" }

func (p Login) faults() []FieldError { return p.Errors }

// Paused says that sign-in for an account rests after too many wrong passwords.
type Paused struct {
	Frame
	Until time.Time
}

func (Paused) name() string { return "paused" }
