package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"certportal/cmd/certportal/internal/doctor"
	"certportal/store"
)

// clockEvery is how often the clocks are compared.
const clockEvery = time.Minute

// databaseClock compares the clock of this machine with that of the database, which all
// replicas share. A SQLite file has no other.
type databaseClock struct {
	db  *store.DB
	now func() time.Time
	log *slog.Logger

	ahead atomic.Int64 // nanoseconds that this machine is ahead, at least
	level slog.Level   // of what was logged last; used by check alone
}

// Now is the time of the database.
func (c *databaseClock) Now(ctx context.Context) (time.Time, error) {
	if !c.db.Shared() {
		return c.now(), nil
	}
	return c.db.Clock(ctx)
}

// Ahead is how far this machine is ahead of the database, negative when behind.
func (c *databaseClock) Ahead() time.Duration { return time.Duration(c.ahead.Load()) }

// Fault is why this machine must not issue; nil while the clocks agree.
func (c *databaseClock) Fault() error {
	ahead := c.Ahead()
	switch {
	case ahead >= doctor.ClockStops:
		return fmt.Errorf("this machine's clock is %s ahead of the database's: set it by an NTP source", ahead.Round(time.Second))
	case ahead <= -doctor.ClockStops:
		return fmt.Errorf("this machine's clock is %s behind the database's: set it by an NTP source", (-ahead).Round(time.Second))
	}
	return nil
}

// check compares the clocks. A database that does not answer changes nothing: readiness says
// that it is away.
func (c *databaseClock) check(ctx context.Context) {
	ahead, err := c.db.Ahead(ctx, c.now)
	if err != nil {
		return
	}
	c.ahead.Store(int64(ahead))
	c.note(ahead)
}

// note logs a difference when it begins, gets worse or ends.
func (c *databaseClock) note(ahead time.Duration) {
	level, message := slog.LevelInfo, "the clocks of this machine and the database agree again"
	switch {
	case ahead.Abs() >= doctor.ClockStops:
		level, message = slog.LevelError, "clock differs from the database's: nothing is issued, swept or published here"
	case ahead.Abs() >= doctor.ClockWarns:
		level, message = slog.LevelWarn, "clock differs from the database's: set both by an NTP source"
	}
	if level != c.level {
		c.log.Log(context.Background(), level, message, "ahead", ahead.Round(time.Millisecond).String())
	}
	c.level = level
}

// openClock compares the clocks for the first time.
func (p *App) openClock(ctx context.Context) {
	p.clock = &databaseClock{db: p.DB, now: p.Now, log: p.log}
	p.clock.check(ctx)
}
