package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// Person implements portal.Directory. It reads everything from the directory.
func (l *LDAP) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	return l.readPerson(ctx, id)
}

// Match implements portal.Directory. A claim's UPN is compared with the attribute of the
// entry, and not parsed as a login name.
func (l *LDAP) Match(ctx context.Context, claim portal.Claim) (portal.Person, error) {
	notFound := fmt.Errorf("matching claim: %w", portal.ErrNotFound)
	by, err := l.claimMatch(claim)
	if err != nil {
		return portal.Person{}, notFound
	}
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	user, err := l.find(ctx, loginName{names: []attributeMatch{by}})
	if errors.Is(err, errUnknownLogin) {
		return portal.Person{}, notFound
	}
	if err != nil {
		return portal.Person{}, fmt.Errorf("matching claim: %w", err)
	}
	p, err := l.readPerson(ctx, user.id)
	if err != nil {
		return portal.Person{}, err
	}
	if (claim.SID != "" && p.SID != claim.SID) || (claim.UPN != "" && fold(p.UPN) != fold(claim.UPN)) {
		return portal.Person{}, notFound
	}
	return p, nil
}

// claimMatch returns the match that finds the person of a claim: by SID when the claim has
// one, because a UPN may be reassigned.
func (l *LDAP) claimMatch(claim portal.Claim) (attributeMatch, error) {
	upn := loginParser{a: l.d.a}.parse(claim.UPN)
	isUPN := len(upn.names) == 1 && upn.names[0].attribute == l.d.a.UPN
	switch {
	case claim.UPN != "" && !isUPN, claim.SID == "" && claim.UPN == "", claim.SID != "" && l.d.a.SID == "":
		return attributeMatch{}, errUnknownLogin
	case claim.SID == "":
		return upn.names[0], nil
	}
	sid, err := parseSID(claim.SID)
	if err != nil {
		return attributeMatch{}, errUnknownLogin
	}
	if l.c.Kind == ActiveDirectory {
		return attributeMatch{attribute: l.d.a.SID, value: string(sid), binary: true}, nil
	}
	return attributeMatch{attribute: l.d.a.SID, value: claim.SID}, nil
}

// readPerson reads one person with groups and conflicts.
func (l *LDAP) readPerson(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	e, err := l.entryOf(ctx, id)
	if err != nil {
		return portal.Person{}, fmt.Errorf("reading person %s: %w", id, err)
	}
	p, err := l.d.person(e)
	if err != nil {
		return portal.Person{}, l.d.unread(id, e, err)
	}
	p.DirectoryName = directoryName(e.DN)
	in, err := l.readMembership(ctx, e, &p)
	if err != nil {
		return portal.Person{}, fmt.Errorf("reading person %s: %w", id, err)
	}
	if err := l.rights(ctx, &p, in); err != nil {
		return portal.Person{}, fmt.Errorf("reading person %s: %w", id, err)
	}
	if err := l.conflicts(ctx, e, &p); err != nil {
		return portal.Person{}, fmt.Errorf("looking for others with the names of %s: %w", id, err)
	}
	return p, nil
}

// readMembership returns the person's groups. With Active Directory it also sets
// p.Protected for privileged accounts.
func (l *LDAP) readMembership(ctx context.Context, e entry, p *portal.Person) (membership, error) {
	if l.c.Kind == PlainLDAP {
		return l.walkGroups(ctx, p.ID, e)
	}
	in, err := l.tokenGroups(e)
	if err != nil {
		return nil, l.d.unread(p.ID, e, err)
	}
	primary, present, err := e.number(attrPrimary)
	if err != nil {
		return nil, l.d.unread(p.ID, e, err)
	}
	if at := strings.LastIndexByte(p.SID, '-'); present && at > 0 {
		in[fmt.Sprintf("%s-%d", p.SID[:at], primary)] = true
	}
	marked, _, err := e.number(attrAdminCount)
	if err != nil {
		return nil, l.d.unread(p.ID, e, err)
	}
	p.Protected = marked != 0 || isProtectedAccount(p.SID, in)
	return in, nil
}

// entryOf reads the entry of an ID. It returns portal.ErrNotFound when there is none,
// when it is not a person, and when it is outside the base.
func (l *LDAP) entryOf(ctx context.Context, id portal.PersonID) (entry, error) {
	root, err := l.rootDSE(ctx)
	if err != nil {
		return entry{}, err
	}
	q, err := l.byID(root, id)
	if err != nil {
		return entry{}, fmt.Errorf("%w: %w", portal.ErrNotFound, err)
	}
	var entries []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, q)
		return err
	})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) || (err == nil && len(entries) == 0) {
		return entry{}, portal.ErrNotFound
	}
	if err != nil {
		return entry{}, err
	}
	e := entries[0]
	got, err := l.d.id(e)
	switch {
	case err != nil:
		return entry{}, l.d.unread(id, e, err)
	case !strings.EqualFold(string(got), string(id)):
		return entry{}, errors.New("the server returned another entry")
	case !contains(root.people, e.DN):
		return entry{}, portal.ErrNotFound
	case !l.d.isPerson(e):
		// An entry whose kind cannot be read must not count as gone.
		if missing := l.d.unreadKind(e); missing != nil {
			return entry{}, l.d.unread(id, e, missing)
		}
		return entry{}, portal.ErrNotFound
	}
	return e, nil
}

// byID returns the search for one person. Active Directory accepts a GUID as a DN (MS-ADTS
// 3.1.1.3.1.2.4), and returns tokenGroups only in searches of base scope.
func (l *LDAP) byID(root rootDSE, id portal.PersonID) (query, error) {
	if l.c.Kind == ActiveDirectory {
		_, err := parseGUID(id)
		return query{
			base: "<GUID=" + string(id) + ">", filter: "(objectClass=*)",
			attributes: append(l.personAttributes(), attrTokens, attrWorkstations),
		}, err
	}
	if id == "" || len(id) > maxLogin {
		return query{}, errUnknownLogin
	}
	return query{
		base: root.base, scope: ldap.ScopeWholeSubtree, attributes: l.personAttributes(),
		filter: "(&" + l.d.a.PersonFilter + attributeMatch{attribute: l.d.a.ID, value: string(id)}.filter() + ")",
	}, nil
}

// personAttributes returns the attributes of a person, without groups.
func (l *LDAP) personAttributes() []string {
	names := append(l.nameAttributes(), l.d.a.Name, l.d.a.GivenName, l.d.a.EmployeeNumber, l.d.a.Department, l.d.a.Phone, l.d.a.Manager)
	if l.c.Kind == ActiveDirectory {
		names = append(names, attrControl, attrComputed, attrExpires, attrAdminCount, attrPrimary, attrEmployeeID)
	}
	return names
}
