package directory

import (
	"strconv"
	"strings"
)

// protectedByNature reports whether a certificate of this account would open the
// domain (attack A3): by its own SID, or by a group it is in, however deep. Groups
// of every domain count, because a certificate for an administrator of another
// domain of the forest opens the forest.
func protectedByNature(sid string, in membership) bool {
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

// isProtectedGroup knows the groups that Windows itself treats as privileged,
// by the numbers that stay when they are renamed.
func isProtectedGroup(sid string) bool {
	switch sid {
	case "S-1-5-32-544", // Administrators
		"S-1-5-32-548", // Account Operators
		"S-1-5-32-549", // Server Operators
		"S-1-5-32-550", // Print Operators
		"S-1-5-32-551", // Backup Operators
		"S-1-5-32-552": // Replicator
		return true
	}
	switch relative(sid) {
	case 498, // Enterprise Read-only Domain Controllers
		512, // Domain Admins
		516, // Domain Controllers
		518, // Schema Admins
		519, // Enterprise Admins
		520, // Group Policy Creator Owners
		521, // Read-only Domain Controllers
		525, // Protected Users
		526, // Key Admins
		527: // Enterprise Key Admins
		return true
	}
	return false
}

// relative is the last number of a SID of a domain, 0 for any other SID.
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
