package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// Limits of the search for the members of one role group.
const (
	maxNested      = 200 // groups below it
	maxMemberReads = 500 // entries with PlainLDAP, each of which takes a request
)

// ruleInChain matches members of members, too (MS-ADTS 3.1.1.3.4.4.3).
const ruleInChain = ":1.2.840.113556.1.4.1941:"

// RoleGroups lists the groups that give a role, each with at most limit (100) of its
// members, nested and primary ones included. All of it takes at most the timeout of one
// operation; what one group lacks is in its Err.
func (l *LDAP) RoleGroups(ctx context.Context, limit int) ([]portal.RoleGroup, error) {
	if limit <= 0 || limit > maxFound {
		limit = maxFound
	}
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	var groups []portal.RoleGroup
	for _, role := range []portal.Role{portal.Helpdesk, portal.Auditor, portal.Admin} {
		for _, name := range l.c.Roles[role] {
			g := portal.RoleGroup{Role: role, Name: name}
			g.People, g.More, g.Err = memberSearch{l, limit}.ofGroup(ctx, name)
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// memberSearch finds at most limit members of groups.
type memberSearch struct {
	*LDAP
	limit int
}

func (l memberSearch) ofGroup(ctx context.Context, name string) (people []portal.Person, more bool, err error) {
	root, err := l.rootDSE(ctx)
	if err != nil {
		return nil, false, err
	}
	find := l.inDomain
	if l.c.Kind == PlainLDAP {
		find = l.byDN
	}
	entries, more, err := find(ctx, root, name)
	if errors.Is(err, errNoGroup) {
		return nil, false, fmt.Errorf("%w: %w", portal.ErrNotFound, err)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading members of group %q: %w", name, err)
	}
	for _, e := range entries {
		if !l.d.isPerson(e) {
			continue
		}
		p, err := l.d.person(e)
		if err != nil {
			p = l.d.partial(e) // a member all the same
		}
		people = append(people, p)
	}
	slices.SortStableFunc(people, func(a, b portal.Person) int { return cmp.Compare(fold(a.Name), fold(b.Name)) })
	return people, more, nil
}

// inDomain finds the members of a group in Active Directory: first the groups in it,
// then the people of all of them, which the index of memberOf answers.
func (l memberSearch) inDomain(ctx context.Context, root rootDSE, name string) (entries []entry, more bool, err error) {
	group, err := l.groupEntry(ctx, root, name)
	if err != nil {
		return nil, false, err
	}
	nested, tooMany, err := l.bounded(ctx, query{
		base: root.domain, limit: maxNested, attributes: []string{l.d.a.SID},
		filter: "(&(objectClass=group)(memberOf" + ruleInChain + "=" + ldap.EscapeFilter(group.DN) + "))",
	})
	if err != nil {
		return nil, false, err
	}
	entries, more, err = l.bounded(ctx, query{
		base: root.base, limit: l.limit, attributes: l.personAttributes(),
		filter: "(&" + l.d.a.PersonFilter + anyFilter(memberMatches(l.d.a.SID, append(nested, group))) + ")",
	})
	return entries, more || tooMany, err
}

// groupEntry finds a group of this domain, by its SID when that is configured.
func (l memberSearch) groupEntry(ctx context.Context, root rootDSE, name string) (entry, error) {
	sid, err := l.groupKey(ctx, name)
	if err != nil {
		return entry{}, err
	}
	b, err := parseSID(sid)
	if err != nil {
		return entry{}, err
	}
	found, _, err := l.bounded(ctx, query{
		base: root.domain, limit: 1, attributes: []string{l.d.a.SID},
		filter: "(&(objectClass=group)" + attributeMatch{attribute: l.d.a.SID, value: string(b), binary: true}.filter() + ")",
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("group %q: %w in this domain", name, errNoGroup)
	}
	if err != nil {
		return entry{}, err
	}
	return found[0], nil
}

// memberMatches are what a member of one of the groups has: the group among its own, or as
// its primary one. The attribute sid holds the SID of a group.
func memberMatches(sid string, groups []entry) []attributeMatch {
	var matches []attributeMatch
	for _, g := range groups {
		matches = append(matches, attributeMatch{attribute: "memberOf", value: g.DN})
		value, err := g.one(sid)
		if err != nil || value == nil {
			continue
		}
		if text, err := sidText(value); err == nil && relative(text) != 0 {
			matches = append(matches, attributeMatch{attribute: attrPrimary, value: fmt.Sprint(relative(text))})
		}
	}
	return matches
}

// bounded runs a search below a base and returns at most as many entries as its limit, and
// whether there are more.
func (l memberSearch) bounded(ctx context.Context, q query) (entries []entry, more bool, err error) {
	q.scope, q.page = ldap.ScopeWholeSubtree, true
	_, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, q)
		return err
	})
	if errors.Is(err, errTruncated) {
		return entries, true, nil
	}
	return entries, false, err
}

// byDN finds the members of a group with PlainLDAP, whose entries name them. Only
// groups below GroupBase count, as for the groups of a person.
func (l memberSearch) byDN(ctx context.Context, root rootDSE, name string) (people []entry, more bool, err error) {
	group, err := l.group(ctx, name)
	if err != nil {
		return nil, false, err
	}
	groups, err := ldap.ParseDN(l.c.GroupBase)
	if err != nil {
		return nil, false, fmt.Errorf("reading base %q: %w", l.c.GroupBase, err)
	}
	seen := map[string]bool{}
	for waiting := []string{group.dn}; len(waiting) > 0; waiting = waiting[1:] {
		dn := waiting[0]
		key, err := foldDN(dn)
		if err != nil || seen[key] {
			continue
		}
		if seen[key] = true; len(people) > l.limit || len(seen) > maxMemberReads {
			return people[:min(len(people), l.limit)], true, nil
		}
		if contains(root.people, dn) {
			e, err := oneEntry(ctx, l.LDAP, query{base: dn, filter: l.d.a.PersonFilter, attributes: l.personAttributes()})
			if err == nil {
				people = append(people, e)
				continue
			}
			if !errors.Is(err, portal.ErrNotFound) {
				return nil, false, err
			}
		}
		if !contains(groups, dn) {
			continue
		}
		e, err := oneEntry(ctx, l.LDAP, query{base: dn, filter: "(" + l.d.a.Member + "=*)", attributes: []string{l.d.a.Member}})
		if err != nil && !errors.Is(err, portal.ErrNotFound) {
			return nil, false, err
		}
		if err == nil {
			for _, member := range e.bytes(l.d.a.Member) {
				waiting = append(waiting, string(member))
			}
		}
	}
	return people[:min(len(people), l.limit)], len(people) > l.limit, nil
}

// oneEntry reads one entry. It returns portal.ErrNotFound when there is none that matches.
func oneEntry(ctx context.Context, l *LDAP, q query) (entry, error) {
	var entries []entry
	_, err := l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, q)
		return err
	})
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultReferral) || (err == nil && len(entries) == 0) {
		return entry{}, portal.ErrNotFound
	}
	if err != nil {
		return entry{}, err
	}
	return entries[0], nil
}

// Candidates are people who may ask for a certificate.
type Candidates struct {
	People []portal.Person
	Unread int  // entries that the portal's account cannot read in full
	More   bool // there are more than the limit
}

// EnrollCandidates lists at most limit members of the groups that may enrol; without such
// groups, people below the base. What takes a request for each person is left out: of the
// conflicts it finds those of the UPN's form, suffix and of a UPN that two accounts have.
func EnrollCandidates(ctx context.Context, l *LDAP, limit int) (Candidates, error) {
	var c Candidates
	entries, more, err := memberSearch{l, limit}.candidates(ctx)
	if err != nil {
		return c, err
	}
	c.More = more
	root, err := l.rootDSE(ctx)
	if err != nil {
		return c, err
	}
	protected, err := l.Protected(ctx)
	if err != nil {
		return c, err
	}
	for _, e := range entries {
		if !l.d.isPerson(e) {
			continue
		}
		p, err := l.d.person(e)
		if err != nil {
			c.Unread++
			continue
		}
		p.MayEnroll = true
		p.Protected = protected[p.ID] || l.isMarkedProtected(e, p)
		p.Conflict = l.namesOf(p, e, root).checkForm()
		c.People = append(c.People, p)
	}
	return c, markTaken(ctx, l, c.People)
}

// markTaken marks people whose UPN another account has, too.
func markTaken(ctx context.Context, l *LDAP, people []portal.Person) error {
	var upns []string
	for _, p := range people {
		if p.UPN != "" {
			upns = append(upns, p.UPN)
		}
	}
	owners, err := l.UPNOwners(ctx, upns)
	if err != nil {
		return err
	}
	for i, p := range people {
		if p.Conflict == "" && slices.ContainsFunc(owners[p.UPN], func(id portal.PersonID) bool { return id != p.ID }) {
			people[i].Conflict = portal.UPNTaken
		}
	}
	return nil
}

// candidates finds the entries of people who may enrol.
func (l memberSearch) candidates(ctx context.Context) (all []entry, more bool, err error) {
	root, err := l.rootDSE(ctx)
	if err != nil {
		return nil, false, err
	}
	if len(l.c.Enroll) == 0 {
		return l.bounded(ctx, query{base: root.base, limit: l.limit, filter: l.d.a.PersonFilter, attributes: l.personAttributes()})
	}
	find := l.inDomain
	if l.c.Kind == PlainLDAP {
		find = l.byDN
	}
	seen := map[string]bool{}
	for _, name := range l.c.Enroll {
		entries, some, err := find(ctx, root, name)
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading members of group %q: %w", name, err)
		}
		more = more || some
		for _, e := range entries {
			if !seen[e.DN] {
				seen[e.DN] = true
				all = append(all, e)
			}
		}
	}
	if len(all) > l.limit {
		return all[:l.limit], true, nil
	}
	return all, more, nil
}
