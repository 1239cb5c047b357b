package enroll

import (
	"context"
	"slices"
)

// PersonID is the directory's stable id of a person: the same under every
// spelling of the login name, and after a change of name. Limits, quotas and the
// ledger key on it. With Active Directory it is the objectGUID.
type PersonID string

// Role is what a person may do in the portal.
type Role string

// The roles. Everybody who can sign in is an employee.
const (
	Employee Role = "employee"
	Helpdesk Role = "helpdesk"
	Auditor  Role = "auditor"
	Admin    Role = "admin"
)

// ParseRole reads the name of a role.
func ParseRole(s string) (Role, bool) {
	r := Role(s)
	return r, slices.Contains([]Role{Employee, Helpdesk, Auditor, Admin}, r)
}

// Person is somebody as the directory knows them at the moment of asking.
type Person struct {
	ID        PersonID
	Login     string // canonical account name
	UPN       string // user principal name, name@suffix
	SID       string // security identifier "S-1-5-21-…"; empty where the directory has none
	Mail      string // may be empty
	Name      string // display name, shown as it is
	GivenName string // for "Anna's iPhone"; may be empty
	Roles     []Role
	Disabled  bool
	MayEnroll bool // is in the group that may have certificates
}

// Has reports whether the person holds the role.
func (p Person) Has(r Role) bool { return r == Employee || slices.Contains(p.Roles, r) }

// highest is the role the ledger names for an act that needs none.
func (p Person) highest() Role {
	for _, r := range []Role{Admin, Auditor, Helpdesk} {
		if p.Has(r) {
			return r
		}
	}
	return Employee
}

// Directory says who people are. It is the only source of what stands in a
// certificate.
type Directory interface {
	// Authenticate checks a password. It returns ErrCredentials for a wrong
	// password and an unknown name alike and in the same time, a *Refusal where
	// the password was right and the account still may not sign in, and any other
	// error when the directory could not be asked.
	Authenticate(ctx context.Context, login, password string) (Person, error)

	// Person reads somebody afresh. It returns ErrNotFound when the directory
	// does not know them any more.
	Person(ctx context.Context, id PersonID) (Person, error)

	// Canonical gives one spelling for all spellings of a login name, the UPN
	// among them. A name nobody has is given back in one spelling too, in the same
	// time. Throttling keys on it.
	Canonical(ctx context.Context, login string) (string, error)

	// RequiresSID reports whether everybody in this directory has a SID, so that
	// a missing one is a fault and not a fact.
	RequiresSID() bool
}

// Account is a person of the built-in directory, with the hash of the password.
type Account struct {
	Person
	PasswordHash string // PHC string, argon2id
}
