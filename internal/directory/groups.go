package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// How long the SID behind a group's DN is kept, and how long it is kept that
// there is no such group.
const (
	groupTime   = 10 * time.Minute
	noGroupTime = time.Minute
)

// maxGroups bounds the groups of one person with PlainLDAP.
const maxGroups = 500

// membership is the set of groups somebody is in, nested ones included: SIDs with
// Active Directory, folded DNs elsewhere.
type membership map[string]bool

func (m membership) any(keys []string) bool {
	for _, key := range keys {
		if m[key] {
			return true
		}
	}
	return false
}

// errNoGroup says that a configured group is not in the directory.
var errNoGroup = errors.New("no such group")

// groupCache remembers what configured groups are called in a membership.
type groupCache struct {
	mu    sync.Mutex
	known map[string]knownGroup
}

type knownGroup struct {
	key    string // empty: there is no such group
	until  time.Time
	logged time.Time
}

// groupKey gives what a configured group is called in a membership. A SID is its
// own name; a DN is looked up, because a group keeps its SID when it is renamed.
func (l *LDAP) groupKey(ctx context.Context, name string) (string, error) {
	if l.c.Kind == ActiveDirectory && strings.HasPrefix(name, "S-") {
		return name, nil
	}
	now := l.c.Now()
	l.groups.mu.Lock()
	known, kept := l.groups.known[name]
	l.groups.mu.Unlock()
	if kept && now.Before(known.until) {
		return known.answer(name)
	}
	key, err := l.resolveGroup(ctx, name)
	if err != nil && !errors.Is(err, errNoGroup) {
		return "", err
	}
	known.key, known.until = key, now.Add(groupTime)
	if key == "" {
		known.until = now.Add(noGroupTime)
		if now.Sub(known.logged) >= groupTime {
			known.logged = now
			l.c.Log.Error("a configured group is not in the directory", "group", name)
		}
	}
	l.groups.mu.Lock()
	defer l.groups.mu.Unlock()
	if l.groups.known == nil {
		l.groups.known = map[string]knownGroup{}
	}
	l.groups.known[name] = known
	return known.answer(name)
}

func (g knownGroup) answer(name string) (string, error) {
	if g.key == "" {
		return "", fmt.Errorf("group %q: %w", name, errNoGroup)
	}
	return g.key, nil
}

func (l *LDAP) resolveGroup(ctx context.Context, name string) (string, error) {
	q := query{base: name, filter: "(objectClass=*)", attributes: []string{attrClass}}
	if l.c.Kind == ActiveDirectory {
		q.filter, q.attributes = "(objectClass=group)", []string{l.d.a.SID}
	}
	var entries []entry
	_, err := l.read(ctx, l.people, func(ctx context.Context, k *link) (err error) {
		entries, err = k.search(ctx, q)
		return err
	})
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultReferral) || (err == nil && len(entries) == 0) {
		return "", errNoGroup
	}
	if err != nil {
		return "", fmt.Errorf("looking up group %q: %w", name, err)
	}
	if l.c.Kind == PlainLDAP {
		return foldDN(entries[0].DN)
	}
	sid, err := entries[0].one(l.d.a.SID)
	if err != nil {
		return "", err
	}
	return sidText(sid)
}

// rights fills in what the groups say. A group of Enroll or Protected that is
// not there is an error, because it must not mean "everybody" or "nobody is
// protected"; one of Roles gives nobody the role.
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

// tokens reads the groups of an Active Directory entry, nested and primary ones
// included. No tokenGroups at all is an error: everybody is at least in Domain
// Users, so the portal's account may not read them.
func (l *LDAP) tokens(e entry) (membership, error) {
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

// memberships walks up the groups of a DN with PlainLDAP, level by level.
func (l *LDAP) memberships(ctx context.Context, dn string) (membership, error) {
	in := membership{}
	for level := []string{dn}; len(level) > 0; {
		groups, err := l.groupsOf(ctx, level)
		if err != nil {
			return nil, fmt.Errorf("reading groups of %s: %w", dn, err)
		}
		level = nil
		for _, group := range groups {
			key, err := foldDN(group)
			if err != nil {
				return nil, err
			}
			if !in[key] {
				in[key] = true
				level = append(level, group)
			}
		}
		if len(in) > maxGroups {
			return nil, fmt.Errorf("%s is in more than %d groups", dn, maxGroups)
		}
	}
	return in, nil
}

// groupsOf finds the groups that name one of the DNs as a member, some DNs at a
// time.
func (l *LDAP) groupsOf(ctx context.Context, members []string) ([]string, error) {
	const atOnce = 50
	var groups []string
	for start := 0; start < len(members); start += atOnce {
		var clauses []clause
		for _, member := range members[start:min(start+atOnce, len(members))] {
			clauses = append(clauses, clause{attribute: l.d.a.Member, value: member})
		}
		var entries []entry
		_, err := l.read(ctx, l.people, func(ctx context.Context, k *link) (err error) {
			entries, err = k.search(ctx, query{
				base: l.c.GroupBase, scope: ldap.ScopeWholeSubtree, filter: anyFilter(clauses),
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

// foldDN is a DN in one spelling.
func foldDN(dn string) (string, error) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return "", fmt.Errorf("reading DN %q: %w", clipText(dn), err)
	}
	return fold(parsed.String()), nil
}
