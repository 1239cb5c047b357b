package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// Person fulfils enroll.Directory: everything is read anew.
func (l *LDAP) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	return l.readPerson(ctx, id)
}

// Match fulfils enroll.Directory. A claim's UPN counts as it stands in the entry,
// and not as a login name.
func (l *LDAP) Match(ctx context.Context, claim portal.Claim) (portal.Person, error) {
	nobody := fmt.Errorf("matching claim: %w", portal.ErrNotFound)
	by, err := l.claimed(claim)
	if err != nil {
		return portal.Person{}, nobody
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	who, err := l.find(ctx, spelling{names: []clause{by}})
	if errors.Is(err, errNobody) {
		return portal.Person{}, nobody
	}
	if err != nil {
		return portal.Person{}, fmt.Errorf("matching claim: %w", err)
	}
	p, err := l.readPerson(ctx, who.id)
	if err != nil {
		return portal.Person{}, err
	}
	if (claim.SID != "" && p.SID != claim.SID) || (claim.UPN != "" && fold(p.UPN) != fold(claim.UPN)) {
		return portal.Person{}, nobody
	}
	return p, nil
}

// claimed is the clause that finds the person of a claim: by SID where it has
// one, which stays when a UPN moves on.
func (l *LDAP) claimed(claim portal.Claim) (clause, error) {
	upn := speller{a: l.d.a}.spell(claim.UPN)
	isUPN := len(upn.names) == 1 && upn.names[0].attribute == l.d.a.UPN
	switch {
	case claim.UPN != "" && !isUPN, claim.SID == "" && claim.UPN == "", claim.SID != "" && l.d.a.SID == "":
		return clause{}, errNobody
	case claim.SID == "":
		return upn.names[0], nil
	}
	sid, err := parseSID(claim.SID)
	if err != nil {
		return clause{}, errNobody
	}
	if l.c.Kind == ActiveDirectory {
		return clause{attribute: l.d.a.SID, value: string(sid), binary: true}, nil
	}
	return clause{attribute: l.d.a.SID, value: claim.SID}, nil
}

// readPerson reads one person with groups and conflicts.
func (l *LDAP) readPerson(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	e, err := l.entryOf(ctx, id)
	if err != nil {
		return portal.Person{}, fmt.Errorf("reading person %s: %w", id, err)
	}
	p, err := l.d.person(e)
	if err != nil {
		return portal.Person{}, fmt.Errorf("reading person %s: %w", id, err)
	}
	in, err := l.membershipOf(ctx, e, &p)
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

// membershipOf tells the groups, and in Active Directory whether the person is
// protected by nature.
func (l *LDAP) membershipOf(ctx context.Context, e entry, p *portal.Person) (membership, error) {
	if l.c.Kind == PlainLDAP {
		return l.memberships(ctx, e.DN)
	}
	in, err := l.tokens(e)
	if err != nil {
		return nil, err
	}
	primary, present, err := e.number(attrPrimary)
	if err != nil {
		return nil, err
	}
	if at := strings.LastIndexByte(p.SID, '-'); present && at > 0 {
		in[fmt.Sprintf("%s-%d", p.SID[:at], primary)] = true
	}
	marked, _, err := e.number(attrAdminCount)
	if err != nil {
		return nil, err
	}
	p.Protected = marked != 0 || protectedByNature(p.SID, in)
	return in, nil
}

// entryOf reads the one entry of an id. It returns enroll.ErrNotFound for an id
// nobody has, for what is no person, and for entries outside the base.
func (l *LDAP) entryOf(ctx context.Context, id portal.PersonID) (entry, error) {
	facts, err := l.facts(ctx)
	if err != nil {
		return entry{}, err
	}
	q, err := l.byID(facts, id)
	if err != nil {
		return entry{}, fmt.Errorf("%w: %w", portal.ErrNotFound, err)
	}
	var entries []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, k *link) (err error) {
		entries, err = k.search(ctx, q)
		return err
	})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) || (err == nil && len(entries) == 0) {
		return entry{}, portal.ErrNotFound
	}
	if err != nil {
		return entry{}, err
	}
	e := entries[0]
	if got, err := l.d.id(e); err != nil || !strings.EqualFold(string(got), string(id)) {
		return entry{}, errors.Join(errors.New("the server answered with somebody else"), err)
	}
	if !l.d.isPerson(e) || !contains(facts.people, e.DN) {
		return entry{}, portal.ErrNotFound
	}
	return e, nil
}

// byID asks for one person. Active Directory takes the GUID for a name (MS-ADTS
// 3.1.1.3.1.2.4), and tells tokenGroups only to a question for one entry.
func (l *LDAP) byID(facts facts, id portal.PersonID) (query, error) {
	if l.c.Kind == ActiveDirectory {
		_, err := parseGUID(id)
		return query{
			base: "<GUID=" + string(id) + ">", filter: "(objectClass=*)",
			attributes: append(l.personAttributes(), attrTokens),
		}, err
	}
	if id == "" || len(id) > maxLogin {
		return query{}, errNobody
	}
	return query{
		base: facts.base, scope: ldap.ScopeWholeSubtree, attributes: l.personAttributes(),
		filter: "(&" + l.d.a.PersonFilter + clause{attribute: l.d.a.ID, value: string(id)}.filter() + ")",
	}, nil
}

// personAttributes are those of which a person is made, without groups.
func (l *LDAP) personAttributes() []string {
	names := append(l.nameAttributes(), l.d.a.Name, l.d.a.GivenName, l.d.a.EmployeeNumber, l.d.a.Department)
	if l.c.Kind == ActiveDirectory {
		names = append(names, attrControl, attrComputed, attrExpires, attrAdminCount, attrPrimary, attrEmployeeID)
	}
	return names
}
