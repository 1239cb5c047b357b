package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// How long the SID of a group's DN is cached, and how long the absence of a group.
const (
	groupTime   = 10 * time.Minute
	noGroupTime = time.Minute
)

// maxGroups limits the groups of one person with PlainLDAP.
const maxGroups = 500

// membership is the set of groups a person is in, nested groups included: SIDs with
// Active Directory, folded DNs with PlainLDAP.
type membership map[string]bool

func (m membership) any(keys []string) bool {
	for _, key := range keys {
		if m[key] {
			return true
		}
	}
	return false
}

// errNoGroup reports that a configured group is not in the directory.
var errNoGroup = errors.New("no such group")

// groupCache maps configured groups to their key in a membership.
type groupCache struct {
	mu    sync.Mutex
	known map[string]knownGroup
}

// knownGroup is what a lookup of a group found.
type knownGroup struct {
	key, dn string // key is empty when there is no such group, or several
	several bool
	pinned  string // key of the first group that was found under the name; Active Directory only
	taken   bool   // another group has the name now
	until   time.Time
	logged  time.Time
}

// groupKey returns the key of a configured group in a membership. With Active Directory a
// SID is its own key, and a DN or a name is looked up for its SID.
func (l *LDAP) groupKey(ctx context.Context, name string) (string, error) {
	if l.c.formOf(name) == groupBySID {
		return name, nil
	}
	group, err := l.group(ctx, name)
	return group.key, err
}

// group looks up a configured group by its DN or its name.
func (l *LDAP) group(ctx context.Context, name string) (knownGroup, error) {
	now := l.c.Now()
	l.groups.mu.Lock()
	known, kept := l.groups.known[name]
	l.groups.mu.Unlock()
	if kept && now.Before(known.until) {
		return known, known.err(name)
	}
	found, err := l.resolveGroup(ctx, name)
	if err != nil {
		return knownGroup{}, err
	}
	l.groups.mu.Lock()
	defer l.groups.mu.Unlock()
	known = l.groups.known[name]
	if l.c.Kind == ActiveDirectory && l.c.formOf(name) == groupByName {
		found.pin(known.pinned)
	}
	found.logged, found.until = known.logged, now.Add(groupTime)
	if found.key == "" {
		found.until = now.Add(noGroupTime)
		if now.Sub(found.logged) >= groupTime || (found.taken && !known.taken) {
			found.logged = now
			l.c.Log.Error("a configured group cannot be used", "group", name, "err", found.err(name))
		}
	}
	if l.groups.known == nil {
		l.groups.known = map[string]knownGroup{}
	}
	l.groups.known[name] = found
	return found, found.err(name)
}

// pin refuses another group than the first one that was found under the name, whose SID is
// given: an account that may create groups can take the name of a group that is deleted or
// renamed.
func (g *knownGroup) pin(first string) {
	g.pinned = cmp.Or(first, g.key)
	if g.key != g.pinned && g.key != "" {
		g.key, g.taken = "", true
	}
}

// err is why the group cannot be used. It wraps errNoGroup.
func (g knownGroup) err(name string) error {
	switch {
	case g.taken:
		return fmt.Errorf("group %q: %w as before: its SID was %s, and now %s has its name; write the SID of the one that is meant", name, errNoGroup, g.pinned, g.dn)
	case g.several:
		return fmt.Errorf("group %q: %w of this name alone: there are several", name, errNoGroup)
	case g.key == "":
		return fmt.Errorf("group %q: %w", name, errNoGroup)
	}
	return nil
}

// resolveGroup asks the directory for a group. One that is not there has no key.
func (l *LDAP) resolveGroup(ctx context.Context, name string) (knownGroup, error) {
	q := query{base: name, filter: "(objectClass=*)", attributes: []string{attrClass}}
	if l.c.Kind == ActiveDirectory {
		q.filter, q.attributes = "(objectClass=group)", []string{l.d.a.SID}
	}
	byName := l.c.formOf(name) == groupByName
	if byName {
		var err error
		if q, err = l.groupNameQuery(ctx, name); err != nil {
			return knownGroup{}, err
		}
	}
	var entries []entry
	_, err := l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, q)
		return err
	})
	if errors.Is(err, errTruncated) {
		return knownGroup{several: true}, nil
	}
	if byName {
		entries = slices.DeleteFunc(entries, func(e entry) bool { return !l.groupNameMatch(name).matches(e) })
	}
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultReferral) || (err == nil && len(entries) == 0) {
		return knownGroup{}, nil
	}
	if err != nil {
		return knownGroup{}, fmt.Errorf("looking up group %q: %w", name, err)
	}
	if len(entries) > 1 {
		return knownGroup{several: true}, nil
	}
	group := knownGroup{dn: entries[0].DN}
	if l.c.Kind == PlainLDAP {
		group.key, err = foldDN(group.dn)
		return group, err
	}
	sid, err := entries[0].one(l.d.a.SID)
	if err != nil {
		return knownGroup{}, err
	}
	group.key, err = sidText(sid)
	return group, err
}

// rights sets MayEnroll, Protected and Roles from the groups. A missing group of Enroll
// or Protected is an error, because it must not mean "all may enrol" or "none is
// protected"; a missing group of Roles grants the role to no person.
func (l *LDAP) rights(ctx context.Context, p *portal.Person, in membership) error {
	enrolling, err := l.groupKeys(ctx, l.c.Enroll)
	if err != nil {
		return fmt.Errorf("groups that may enrol: %w", err)
	}
	protected, err := l.groupKeys(ctx, l.c.Protected)
	if err != nil {
		return fmt.Errorf("protected groups: %w", err)
	}
	p.MayEnroll = len(l.c.Enroll) == 0 || in.any(enrolling)
	p.Protected = p.Protected || in.any(protected)
	for _, role := range []portal.Role{portal.Employee, portal.Helpdesk, portal.Auditor, portal.Admin} {
		holds, err := l.holdsRole(ctx, role, in)
		if err != nil {
			return err
		}
		if holds {
			p.Roles = append(p.Roles, role)
		}
	}
	return nil
}

func (l *LDAP) groupKeys(ctx context.Context, names []string) ([]string, error) {
	keys := make([]string, 0, len(names))
	for _, name := range names {
		key, err := l.groupKey(ctx, name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (l *LDAP) holdsRole(ctx context.Context, role portal.Role, in membership) (bool, error) {
	for _, name := range l.c.Roles[role] {
		key, err := l.groupKey(ctx, name)
		if errors.Is(err, errNoGroup) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("groups of role %s: %w", role, err)
		}
		if in[key] {
			return true, nil
		}
	}
	return false, nil
}

// tokenGroups decodes the groups of an Active Directory entry, nested and primary ones
// included. A missing attribute is an error: every account is at least in Domain Users,
// so the portal's account lacks the right to read it.
func (l *LDAP) tokenGroups(e entry) (membership, error) {
	values := e.bytes(attrTokens)
	if len(values) == 0 {
		return nil, fmt.Errorf("%s: %s is missing or may not be read", e.DN, attrTokens)
	}
	in := membership{}
	for _, value := range values {
		sid, err := sidText(value)
		if err != nil {
			return nil, fmt.Errorf("%s: reading %s: %w", e.DN, attrTokens, err)
		}
		in[sid] = true
	}
	return in, nil
}

// walkGroups finds the groups of a DN with PlainLDAP, level by level.
func (l *LDAP) walkGroups(ctx context.Context, id portal.PersonID, e entry) (membership, error) {
	in := membership{}
	for level := []string{e.DN}; len(level) > 0; {
		groups, err := l.groupsOf(ctx, level)
		if errors.Is(err, errTruncated) {
			return nil, l.d.unread(id, e, fmt.Errorf("%s is in more than %d groups", e.DN, maxGroups))
		}
		if err != nil {
			return nil, fmt.Errorf("reading groups of %s: %w", e.DN, err)
		}
		level = nil
		for _, group := range groups {
			key, err := foldDN(group)
			if err != nil {
				return nil, l.d.unread(id, e, err)
			}
			if !in[key] {
				in[key] = true
				level = append(level, group)
			}
		}
		if len(in) > maxGroups {
			return nil, l.d.unread(id, e, fmt.Errorf("%s is in more than %d groups", e.DN, maxGroups))
		}
	}
	return in, nil
}

// groupsOf finds the groups that have one of the DNs as a member, 50 DNs per search.
func (l *LDAP) groupsOf(ctx context.Context, members []string) ([]string, error) {
	const atOnce = 50
	var groups []string
	for start := 0; start < len(members); start += atOnce {
		var matches []attributeMatch
		for _, member := range members[start:min(start+atOnce, len(members))] {
			matches = append(matches, attributeMatch{attribute: l.d.a.Member, value: member})
		}
		var entries []entry
		_, err := l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
			entries, err = conn.search(ctx, query{
				base: l.c.GroupBase, scope: ldap.ScopeWholeSubtree, filter: anyFilter(matches),
				attributes: []string{"1.1"}, limit: maxGroups + 1, // 1.1: no attributes (RFC 4511 section 4.5.1.8)
			})
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			groups = append(groups, e.DN)
		}
	}
	return groups, nil
}

// foldDN normalizes a DN for comparison.
func foldDN(dn string) (string, error) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return "", fmt.Errorf("reading DN %q: %w", clipText(dn), err)
	}
	return fold(parsed.String()), nil
}
