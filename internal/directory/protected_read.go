package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

const (
	// groupsAtOnce is the number of groups per search for their members.
	groupsAtOnce = 20

	// maxProtected limits the members of protected groups with PlainLDAP, each of which
	// takes a search.
	maxProtected = 5000
)

// Protected returns people who may be protected by their groups: the members of protected
// groups, nested and primary ones included. It reads the groups instead of the people, so
// that its time does not grow with their number. [LDAP.Person] decides.
func (l *LDAP) Protected(ctx context.Context) (map[portal.PersonID]bool, error) {
	find := l.protectedInDomain
	if l.c.Kind == PlainLDAP {
		find = l.protectedByDN
	}
	people, err := find(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading members of protected groups: %w", err)
	}
	return people, nil
}

// isMarkedProtected reports whether an entry alone says that the person is protected. An
// unreadable mark counts as one.
func (l *LDAP) isMarkedProtected(e entry, p portal.Person) bool {
	if l.c.Kind == PlainLDAP {
		return false
	}
	marked, _, err := e.number(attrAdminCount)
	return err != nil || marked != 0 || isProtectedAccount(p.SID, nil)
}

// searchForest runs a search in this domain, and in the global catalog if one is
// configured: the catalog knows the universal groups of other domains, this domain's
// servers its other groups.
func (l *LDAP) searchForest(ctx context.Context, q query) ([]entry, error) {
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	root, err := l.rootDSE(ctx)
	if err != nil {
		return nil, err
	}
	var all []entry
	search := func(servers []*server, base string) error {
		q := q
		q.base, q.scope = base, ldap.ScopeWholeSubtree
		_, err := l.read(ctx, servers, func(ctx context.Context, conn *connection) error {
			entries, err := conn.searchAll(ctx, q)
			all = append(all, entries...)
			return err
		})
		return err
	}
	if err := search(l.people, root.domain); err != nil || len(l.c.GlobalCatalog) == 0 {
		return all, err
	}
	return all, search(l.forest, l.forestBase(root))
}

// protectedInDomain finds the members of protected groups in Active Directory, level by
// level.
func (l *LDAP) protectedInDomain(ctx context.Context) (map[portal.PersonID]bool, error) {
	groups, err := l.protectedGroups(ctx)
	if err != nil {
		return nil, err
	}
	people, seen := map[portal.PersonID]bool{}, map[string]bool{}
	for len(groups) > 0 {
		var next []entry
		for chunk := range slices.Chunk(groups, groupsAtOnce) {
			members, err := l.membersOf(ctx, chunk)
			if err != nil {
				return nil, err
			}
			for _, e := range members {
				switch id, err := l.d.id(e); {
				case e.has(attrClass, "group") && !seen[fold(e.DN)]:
					seen[fold(e.DN)] = true
					next = append(next, e)
				case err == nil:
					people[id] = true
				}
			}
		}
		groups = next
	}
	return people, nil
}

// protectedGroups finds the groups that Windows protects, and the configured ones.
func (l *LDAP) protectedGroups(ctx context.Context) ([]entry, error) {
	sids, err := l.groupKeys(ctx, l.c.Protected)
	if err != nil {
		return nil, err
	}
	domains, err := l.searchForest(ctx, query{filter: "(objectClass=domainDNS)", attributes: []string{l.d.a.SID}})
	if err != nil {
		return nil, err
	}
	sids = append(sids, protectedBuiltin()...)
	for _, e := range domains {
		if sid, err := e.one(l.d.a.SID); err == nil && sid != nil {
			if text, err := sidText(sid); err == nil {
				sids = append(sids, protectedOf(text)...)
			}
		}
	}
	slices.Sort(sids)
	var groups []entry
	for chunk := range slices.Chunk(slices.Compact(sids), groupsAtOnce) {
		var matches []attributeMatch
		for _, sid := range chunk {
			b, err := parseSID(sid)
			if err != nil {
				return nil, err
			}
			matches = append(matches, attributeMatch{attribute: l.d.a.SID, value: string(b), binary: true})
		}
		found, err := l.searchForest(ctx, query{filter: anyFilter(matches), attributes: []string{l.d.a.SID}})
		if err != nil {
			return nil, err
		}
		groups = append(groups, found...)
	}
	return groups, nil
}

// membersOf finds the direct members of groups, and those whose primary group one is.
func (l *LDAP) membersOf(ctx context.Context, groups []entry) ([]entry, error) {
	return l.searchForest(ctx, query{filter: anyFilter(memberMatches(l.d.a.SID, groups)), attributes: []string{l.d.a.ID, attrClass, l.d.a.SID}})
}

// protectedByDN finds the members of the configured groups with PlainLDAP, nested ones
// included.
func (l *LDAP) protectedByDN(ctx context.Context) (map[portal.PersonID]bool, error) {
	people, seen := map[portal.PersonID]bool{}, map[string]bool{}
	level, err := l.groupDNs(ctx, l.c.Protected)
	if err != nil {
		return nil, err
	}
	configured := true
	for ; len(level) > 0; configured = false {
		var next []string
		for _, dn := range level {
			key, err := foldDN(dn)
			if err != nil && configured {
				return nil, err
			}
			if err != nil || seen[key] {
				continue
			}
			if seen[key] = true; len(seen) > maxProtected {
				return nil, fmt.Errorf("protected groups have more than %d members", maxProtected)
			}
			e, err := l.entryAt(ctx, dn)
			if errors.Is(err, portal.ErrNotFound) && !configured {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("reading %q: %w", dn, err)
			}
			for _, member := range e.bytes(l.d.a.Member) {
				next = append(next, string(member))
			}
			if id, err := l.d.id(e); err == nil {
				people[id] = true
			}
		}
		level = next
	}
	return people, nil
}

// groupDNs returns the DNs of configured groups, with those that are given by name looked up.
func (l *LDAP) groupDNs(ctx context.Context, names []string) ([]string, error) {
	dns := slices.Clone(names)
	for i, name := range names {
		if l.c.formOf(name) != groupByName {
			continue
		}
		group, err := l.group(ctx, name)
		if err != nil {
			return nil, err
		}
		dns[i] = group.dn
	}
	return dns, nil
}

// entryAt reads the ID and the members of one entry.
func (l *LDAP) entryAt(ctx context.Context, dn string) (entry, error) {
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	return oneEntry(ctx, l, query{base: dn, filter: "(objectClass=*)", attributes: []string{l.d.a.ID, l.d.a.Member}})
}

// protectedOf returns the SIDs of the protected groups of a domain.
func protectedOf(domain string) []string {
	var sids []string
	for _, rid := range protectedRIDs() {
		sids = append(sids, fmt.Sprintf("%s-%d", domain, rid))
	}
	return sids
}

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
