package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// peopleAtOnce is the number of people per search.
const peopleAtOnce = 100

// People returns the person of each known ID and leaves out unknown IDs. It reads names
// and state, but not groups, roles and conflicts; Protected is what the entry alone says.
// A truncated or unexpected result is an error, because callers treat a person missing
// from the result as deleted. Entries that cannot be read are a *portal.UnreadableError
// next to the other people.
func (l *LDAP) People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	people, unread := make([]portal.Person, 0, len(ids)), &unreadable{}
	for start := 0; start < len(ids); start += peopleAtOnce {
		batch, err := l.batch(ctx, ids[start:min(start+peopleAtOnce, len(ids))], unread)
		if err != nil {
			return nil, fmt.Errorf("reading people: %w", err)
		}
		people = append(people, batch...)
	}
	return people, unread.err("reading people")
}

func (l *LDAP) batch(ctx context.Context, ids []portal.PersonID, unread *unreadable) ([]portal.Person, error) {
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	root, err := l.rootDSE(ctx)
	if err != nil {
		return nil, err
	}
	asked := map[portal.PersonID]bool{}
	var matches []attributeMatch
	for _, id := range ids {
		if by, ok := l.idMatch(id); ok {
			matches = append(matches, by)
			asked[id] = true
		}
	}
	if len(matches) == 0 {
		return nil, nil
	}
	var entries []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, query{
			base: root.base, scope: ldap.ScopeWholeSubtree, limit: len(matches) + 1,
			filter: "(&" + l.d.a.PersonFilter + anyFilter(matches) + ")", attributes: l.personAttributes(),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return l.decodeRequested(entries, asked, unread)
}

// decodeRequested decodes entries. Each must be one of the requested people, once. An
// entry without a readable ID is among the unreadable ones without being anyone's.
func (l *LDAP) decodeRequested(entries []entry, asked map[portal.PersonID]bool, unread *unreadable) ([]portal.Person, error) {
	var people []portal.Person
	for _, e := range entries {
		id, err := l.d.id(e)
		if err != nil {
			unread.add(l.d.partial(e), err)
			continue
		}
		if !asked[id] {
			return nil, fmt.Errorf("the server returned %s, which was not requested, or returned it twice", e.DN)
		}
		asked[id] = false
		p, err := l.d.person(e)
		if err == nil && !l.d.isPerson(e) {
			err = fmt.Errorf("%s does not look like a person", e.DN)
		}
		if err != nil {
			unread.add(l.d.partial(e), err)
			continue
		}
		p.Protected = l.isMarkedProtected(e, p)
		people = append(people, p)
	}
	return people, nil
}

// idMatch returns the match for an ID, and false when the ID is malformed.
func (l *LDAP) idMatch(id portal.PersonID) (attributeMatch, bool) {
	if l.c.Kind == ActiveDirectory {
		guid, err := parseGUID(id)
		return attributeMatch{attribute: l.d.a.ID, value: string(guid), binary: true}, err == nil
	}
	return attributeMatch{attribute: l.d.a.ID, value: string(id)}, id != "" && len(id) <= maxLogin
}
