package testkit

import (
	"sync"
	"time"
)

// Noon is the time at which clocks start.
var Noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Clock is a clock for one test. It is safe for concurrent use.
type Clock struct {
	mu      sync.Mutex
	time    time.Time
	running time.Time // when the clock was last set, for one that runs
}

// NewClock returns a clock that shows [Noon] until the test moves it.
func NewClock() *Clock { return &Clock{time: Noon} }

// NewRunningClock returns a clock that runs with the system's clock, for tests
// whose counterparts (LDAP servers, SCEP clients) use the real time.
func NewRunningClock() *Clock {
	now := time.Now()
	return &Clock{time: now.UTC(), running: now}
}

// Now returns the clock's time in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running.IsZero() {
		return c.time
	}
	return c.time.Add(time.Since(c.running))
}

// Set moves the clock to a time.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = t
	if !c.running.IsZero() {
		c.running = time.Now()
	}
}

// Advance moves the clock forward, or back when d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}
