package page

import "time"

// AdminPeople is /admin/people: the people and acts of each role.
type AdminPeople struct {
	Layout
	Read    time.Time // when the directory was asked
	Silent  bool      // it did not answer
	Holders []AdminHolders
	Roles   []AdminRole
}

func (AdminPeople) name() string { return "adminpeople" }

// AdminHolders are the people of a role.
type AdminHolders struct {
	Role   string
	Groups []AdminGroup // that give it; none when accounts hold their roles
	People []AdminPerson
	More   bool // there may be more people
}

// Unread reports whether the people may be incomplete, because a group could not be read.
func (h AdminHolders) Unread() bool {
	for _, g := range h.Groups {
		if g.Unread {
			return true
		}
	}
	return false
}

// AdminPerson is a person with a role.
type AdminPerson struct {
	ID, Name, UPN string
	Groups        []string // that give it
	Disabled      bool
}

// AdminGroup is a group whose members have a role.
type AdminGroup struct {
	Name            string
	Missing, Unread bool
}

// AdminRole is a role with what it may do.
type AdminRole struct {
	Role string
	Acts []string // keys of their words, after "admin.act."
}
