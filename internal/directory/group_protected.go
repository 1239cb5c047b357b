package directory

import (
	"slices"
	"strconv"
	"strings"
)

// isProtectedAccount reports whether an account is privileged by its own SID or by any of
// its groups, nested ones included, so that its certificate would give control of the
// domain (attack A3). Groups of every domain count, because an administrator of another
// domain of the forest controls the forest.
func isProtectedAccount(sid string, in membership) bool {
	switch relative(sid) {
	case 500, 502: // Administrator, krbtgt
		return true
	}
	for group := range in {
		if isProtectedGroup(group) {
			return true
		}
	}
	return false
}

// isProtectedGroup reports whether Windows treats the group as privileged. It compares
// relative identifiers, which do not change when a group is renamed.
func isProtectedGroup(sid string) bool {
	return slices.Contains(protectedBuiltin(), sid) || slices.Contains(protectedRIDs(), relative(sid))
}

// protectedBuiltin are the privileged groups that every domain has under the same SID.
func protectedBuiltin() []string {
	return []string{
		"S-1-5-32-544", // Administrators
		"S-1-5-32-548", // Account Operators
		"S-1-5-32-549", // Server Operators
		"S-1-5-32-550", // Print Operators
		"S-1-5-32-551", // Backup Operators
		"S-1-5-32-552", // Replicator
	}
}

// protectedRIDs are the relative identifiers of a domain's privileged groups.
func protectedRIDs() []int {
	return []int{
		498, // Enterprise Read-only Domain Controllers
		512, // Domain Admins
		516, // Domain Controllers
		518, // Schema Admins
		519, // Enterprise Admins
		520, // Group Policy Creator Owners
		521, // Read-only Domain Controllers
		525, // Protected Users
		526, // Key Admins
		527, // Enterprise Key Admins
	}
}

// relative returns the relative identifier of a domain SID, and 0 for any other SID.
func relative(sid string) int {
	rest, found := strings.CutPrefix(sid, "S-1-5-21-")
	parts := strings.Split(rest, "-")
	if !found || len(parts) != 4 {
		return 0
	}
	n, err := strconv.Atoi(parts[3])
	if err != nil {
		return 0
	}
	return n
}
