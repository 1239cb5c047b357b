package portal

import (
	"context"
	"crypto/x509/pkix"
	"slices"
	"strings"

	"certportal/ca"
)

// PersonID is the directory's stable id of a person: the same under every
// spelling of the login name, and after a change of name. Limits, quotas and the
// audit log key on it. With Active Directory it is the objectGUID.
type PersonID string

// Role is what a person may do in the portal.
type Role string

// The roles. Every person who can sign in is an employee.
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

// Person is a person as the directory knows them at the moment of asking.
type Person struct {
	ID        PersonID
	Login     string // canonical account name
	UPN       string // user principal name, name@suffix
	SID       string // security identifier "S-1-5-21-…"; empty where the directory has none
	Mail      string // may be empty
	Name      string // display name, shown as it is
	GivenName string // for "Anna's iPhone"; may be empty

	// DirectoryName is the distinguished name of the entry in the order of X.509, the
	// root of the tree first; nil where the directory has none.
	DirectoryName pkix.RDNSequence

	EmployeeNumber string // may be empty
	Department     string // may be empty
	Phone          string // for calling back; may be empty
	Manager        string // name of the manager; may be empty

	Roles     []Role
	MayEnroll bool // is in a group that may have certificates

	// Protected people may do more than read their own mail: a certificate of
	// theirs gives control over the domain.
	Protected bool

	Disabled bool // the account is switched off
	Expired  bool // the account's end has passed
	Locked   bool // the directory locked the account after wrong passwords

	// What else keeps the person from signing in with the right password, as far as the
	// directory shows it. The sign-in itself asks the directory.
	PasswordOld  bool // the password has run out or must be changed
	SmartCard    bool // a smart card is required
	Workstations bool // only from certain computers

	// MailShared means that another person has this address too. It is then good
	// for messages and not for a certificate.
	MailShared bool

	// MailUnusable is what the directory has as mail address when it is none, such as
	// "n/a". Mail is empty then.
	MailUnusable string

	// Conflict says why the person's names could mean another person; empty
	// when they are unmistakable.
	Conflict Conflict
}

// Conflict is a way in which one person's names could be taken for another's.
type Conflict string

// The conflicts there are (attack A5). The audit log keeps them: add, do not rename.
const (
	UPNTaken   Conflict = "upn-taken"    // another entry has this UPN, or one a domain controller takes for it
	UPNIsLogin Conflict = "upn-is-login" // the UPN reads as another account's login name
	UPNSuffix  Conflict = "upn-suffix"   // its suffix is not one the administrator allows
	UPNForm    Conflict = "upn-form"     // it is not name@suffix
)

// Has reports whether the person holds the role.
func (p Person) Has(r Role) bool { return r == Employee || slices.Contains(p.Roles, r) }

// Subject is the part of the person that goes into a certificate. An address that others
// have too could be mapped to them.
func (p Person) Subject() ca.Subject {
	s := ca.Subject{UPN: p.UPN, Mail: ca.CleanMail(p.Mail), SID: p.SID, Name: p.Name, DirectoryName: p.DirectoryName}
	if p.MailShared {
		s.Mail = ""
	}
	return s
}

// MailLeftOut says why the address of the person is not in their certificates: "shared",
// "unusable", or "" when it is there or the person has none.
func (p Person) MailLeftOut() string {
	switch {
	case p.MailUnusable != "", p.Mail != "" && ca.CleanMail(p.Mail) == "":
		return "unusable"
	case p.Mail != "" && p.MailShared:
		return "shared"
	}
	return ""
}

// HighestRole returns the most powerful role of the person, which the audit log names
// for an act that needs no role.
func (p Person) HighestRole() Role {
	for _, r := range []Role{Admin, Auditor, Helpdesk} {
		if p.Has(r) {
			return r
		}
	}
	return Employee
}

// Claim is what an identity provider says of a person who signed in there. Empty
// fields are unknown; a claim without both matches no person.
type Claim struct {
	SID string // "S-1-5-21-…"
	UPN string
}

// Matches reports whether the claim names the person exactly, apart from case.
// Directories compare more loosely (ſ is s, ß is ss), and at some providers people
// choose how they are called: there they could be two.
func (c Claim) Matches(p Person) bool {
	same := true
	for _, spell := range []func(string) string{strings.ToLower, strings.ToUpper} {
		same = same && spell(c.UPN) == spell(p.UPN)
	}
	return (c.SID != "" || c.UPN != "") && (c.SID == "" || c.SID == p.SID) && (c.UPN == "" || same)
}

// Directory says who people are. It is the only source of the names in a
// certificate.
type Directory interface {
	// Authenticate checks a password. It returns ErrCredentials for a wrong
	// password and an unknown name alike and in the same time, a *Refusal where
	// the password was right and the account still may not sign in, and any other
	// error when the directory could not be asked: ErrUnanswered among them when
	// the password went out and no answer came.
	Authenticate(ctx context.Context, login, password string) (Person, error)

	// Person reads a person afresh. It returns ErrNotFound when the directory
	// does not know them any more.
	Person(ctx context.Context, id PersonID) (Person, error)

	// Canonical gives the ID of the person for all spellings of a login name, the UPN
	// among them. For an unknown name it gives one spelling that is no ID, in the
	// same time. Throttling keys on it.
	Canonical(ctx context.Context, login string) (string, error)

	// Match finds the one person a claim of an identity provider speaks of, read
	// afresh. It returns ErrNotFound when there is no person or more than one, and
	// when SID and UPN of the claim are not of the same person.
	Match(ctx context.Context, claim Claim) (Person, error)

	// RequiresSID reports whether every person in this directory has a SID, so that
	// a missing one is a fault and not a fact.
	RequiresSID() bool
}

// Account is a person of the built-in directory, with the hash of the password.
type Account struct {
	Person
	PasswordHash string // PHC string, argon2id
}
