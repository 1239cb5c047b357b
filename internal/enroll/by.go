package enroll

import (
	"context"
	"time"

	"certportal/internal/audit"
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
func (b By) entry(at time.Time, action audit.Action) audit.Entry {
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

// NoteDeniedAct records that the policy refused an act: which one, why, and on
// which route.
func (r *Registrar) NoteDeniedAct(ctx context.Context, by By, route, act, why string) error {
	e := by.entry(r.c.Now(), audit.AccessRefused)
	e.Object, e.Detail = route, map[string]string{"act": act, "reason": why}
	return outage(PartStore, "recording a refused act", r.c.Records.Note(ctx, e))
}
