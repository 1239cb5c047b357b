package signin

import (
	"context"
	"time"
)

// Tries is the state of an account's throttle.
type Tries struct {
	Allowed bool
	Left    int       // tries left after this one
	Until   time.Time // end of the pause, when not allowed
}

// Limit is a number of tries in a window.
type Limit struct {
	Tries  int
	Window time.Duration

	// Rolling lets the window begin anew with every try: the count is forgotten only
	// after a window without one. Directories count so before they lock (AD:
	// badPasswordTime and lockOutObservationWindow).
	Rolling bool
}

// Attempts counts sign-in tries per key, shared by all replicas and kept over
// restarts.
type Attempts interface {
	// Try counts a try before it is made. Within the window at most so many tries
	// are allowed; the next one starts a pause of the same length.
	Try(ctx context.Context, key string, limit Limit, now time.Time) (Tries, error)

	// GiveBack takes back one try whose outcome nobody learned.
	GiveBack(ctx context.Context, key string) error

	// Forgive forgets the tries of a key, after a right password.
	Forgive(ctx context.Context, key string) error
}
