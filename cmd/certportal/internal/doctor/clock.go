package doctor

import (
	"context"
	"time"

	"certportal/internal/admin"
	"certportal/internal/portal"
)

// Clock is what a portal knows of its clock.
type Clock interface {
	Ahead() time.Duration // of the database, negative when behind
	Fault() error         // why nothing is issued; nil while the clocks agree
}

// ClockWarns is the difference of clocks that is worth an alert; from ClockStops on nothing
// is issued, swept and published.
const (
	ClockWarns = 5 * time.Second
	ClockStops = time.Minute
)

// clocks looks at the clock of this machine.
type clocks struct{ *Doctor }

// fault is why this machine's clock must not be used.
func (d clocks) fault() error {
	if d.c.Clock == nil {
		return nil
	}
	return d.c.Clock.Fault()
}

// alerts says that this machine and the database have different times.
func (d clocks) alerts() []admin.Alert {
	if d.c.Clock == nil || d.c.Clock.Ahead().Abs() < ClockWarns {
		return nil
	}
	apart := d.c.Clock.Ahead().Abs().Round(time.Second).String()
	if d.fault() != nil {
		return []admin.Alert{{Key: "clock-stops", Critical: true, Value: apart}}
	}
	return []admin.Alert{{Key: "clock-apart", Value: apart}}
}

// check compares the clock with that of the database.
func (d clocks) check(ctx context.Context) []portal.Finding {
	const what = "clock of the database"
	ahead, err := d.c.DB.Ahead(ctx, d.c.Now)
	if err != nil || !d.c.DB.Shared() {
		return nil // the check of the database says so
	}
	apart := ahead.Abs().Round(time.Second)
	state := portal.FindingFailed
	switch {
	case ahead.Abs() < ClockWarns:
		return []portal.Finding{portal.NewFinding(what, portal.FindingOK, portal.Say("clock-fine", "This machine's clock and the server's agree."))}
	case ahead.Abs() < ClockStops:
		state = portal.FindingWarning
	}
	return []portal.Finding{portal.NewFinding(what, state,
		portal.Say("clock-apart", "This machine's clock and the server's are %s apart. Set both by the same NTP source.", apart))}
}
