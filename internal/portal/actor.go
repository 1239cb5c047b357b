package portal

import (
	"strings"
	"time"

	"certportal/internal/audit"
)

// Actor says who acts, in which role, from where and for which request: what the
// audit log records of every act.
type Actor struct {
	Person  PersonID // empty for the portal itself and before sign-in
	Role    Role
	Address string // client address without port
	Request string // request id

	// What the client shows beside its address, for package signin alone: the cookie of
	// a known browser, which may be forged, and the hash of the id of the session in
	// which Person is signed in. Both may be empty.
	Browser string
	Session [32]byte

	// Record is the actor as the directory knows them, read for this request. Acts of
	// staff need it, because package authz decides on it; without it they are refused.
	Record *Person

	operator bool
}

// system is the actor and role of what the portal does by itself: sweeps and timers.
const system = "system"

// operatorID is the actor of commands that are run on the portal's machine.
const operatorID = "operator"

// revoker is the role of programs that revoke at CAs which the portal does not run.
const revoker = "revoker"

// Revoker is the actor that revokes at a CA which the portal does not run, by the name of the
// CA in the settings.
func Revoker(ca string) Actor { return Actor{Person: PersonID(revoker + ":" + ca), Role: revoker} }

// NoPerson reports whether an actor in the audit log is no person of the directory.
func NoPerson(actor string) bool {
	return actor == system || actor == operatorID || strings.HasPrefix(actor, revoker+":")
}

// Operator is the actor of commands that are run on the portal's machine. It has the
// rights of an administrator: that account can read the database and the CA's key
// anyway.
func Operator() Actor {
	p := Person{ID: operatorID, Name: operatorID, Roles: []Role{Admin}}
	return Actor{Person: p.ID, Role: Admin, Record: &p, operator: true}
}

// IsOperator reports whether the actor was made by [Operator]. The id does not
// decide: a directory may contain a person of that id.
func (a Actor) IsOperator() bool { return a.operator }

// Staff returns the directory record of the actor, for package authz; the zero
// Person, which may do nothing, when there is none.
func (a Actor) Staff() Person {
	if a.Record == nil {
		return Person{}
	}
	return *a.Record
}

// Entry returns an audit entry for an act of a that concerns a. The caller fills in
// object and detail.
func (a Actor) Entry(at time.Time, action audit.Action) audit.Entry {
	e := audit.Entry{
		At: at, Action: action,
		Actor: string(a.Person), Role: string(a.Role), Person: string(a.Person),
		Address: a.Address, Request: a.Request,
	}
	if e.Actor == "" {
		e.Actor, e.Role = system, system
	}
	return e
}
