package enroll

import (
	"time"

	"certportal/ledger"
)

// By says who acts, from where and under which request: what the ledger asks of
// every act.
type By struct {
	Person  PersonID
	Role    Role
	Address string // client address without port
	Request string // request id
}

// system is the portal acting on its own: sweeps and clocks.
const system = "system"

// entry opens a ledger entry for an act of b.
func (b By) entry(at time.Time, action ledger.Action) ledger.Entry {
	e := ledger.Entry{
		At: at, Action: action,
		Actor: string(b.Person), Role: string(b.Role), Person: string(b.Person),
		Address: b.Address, Request: b.Request,
	}
	if e.Actor == "" {
		e.Actor, e.Role = system, system
	}
	return e
}
