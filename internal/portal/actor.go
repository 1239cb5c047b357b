package portal

import (
	"time"

	"certportal/internal/audit"
)

// By says who acts, from where and under which request: what the ledger asks of
// every act.
type Actor struct {
	Person  PersonID
	Role    Role
	Address string // client address without port
	Request string // request id
}

// system is the portal acting on its own: sweeps and clocks.
const system = "system"

// entry opens a ledger entry for an act of b.
func (b Actor) Entry(at time.Time, action audit.Action) audit.Entry {
	e := audit.Entry{
		At: at, Action: action,
		Actor: string(b.Person), Role: string(b.Role), Person: string(b.Person),
		Address: b.Address, Request: b.Request,
	}
	if e.Actor == "" {
		e.Actor, e.Role = system, system
	}
	return e
}
