package signin

import "time"

// Tries is the state of an account's throttle.
type Tries struct {
	Allowed bool
	Left    int       // tries left after this one
	Until   time.Time // end of the pause, when not allowed
}

// Counter is a key under which tries are counted, with its limit.
type Counter struct {
	Key   string
	Limit Limit
}

// Together are the counters of one account that its directory counts as one number. All
// of them are forgotten at once, after a window without a try under any of them, which
// is when the directory forgets. The zero value lets each counter count on its own.
type Together struct {
	Keys  []string
	Tries int // of all of them; their own limits may allow more
}

// Limit is a number of tries in a window.
type Limit struct {
	Tries  int
	Window time.Duration

	// Rolling lets the window begin anew with every try: the count is forgotten only
	// after a window without one. Directories count so before they lock (AD:
	// badPasswordTime and lockOutObservationWindow).
	Rolling bool

	// Leaking means that tries come back one by one, spread over the window, and that
	// no pause follows the last: who waits for a moment may try again, however many
	// others tried before.
	Leaking bool
}
