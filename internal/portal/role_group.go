package portal

// RoleGroup is what gives a role to people: a group of the directory, or the accounts
// themselves.
type RoleGroup struct {
	Role Role
	Name string // of the group, as in the settings; empty when accounts hold their roles

	// People are members, those of its groups included, sorted by name and at most as many
	// as were asked for. They have no roles and conflicts.
	People []Person
	More   bool // there may be more members than People

	// Err is why the members are not known: ErrNotFound when there is no such group.
	Err error
}
