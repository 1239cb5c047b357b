package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// peopleAtOnce is how many people one search asks for.
const peopleAtOnce = 100

// People reads somebody for each id, without those the directory does not know.
// Names and state are read; groups, roles and conflicts are not. Whatever is in
// doubt, a cut answer or an entry nobody asked for, is an error: somebody missing
// in the answer counts as gone.
func (l *LDAP) People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	people := make([]portal.Person, 0, len(ids))
	for start := 0; start < len(ids); start += peopleAtOnce {
		batch, err := l.batch(ctx, ids[start:min(start+peopleAtOnce, len(ids))])
		if err != nil {
			return nil, fmt.Errorf("reading people: %w", err)
		}
		people = append(people, batch...)
	}
	return people, nil
}

func (l *LDAP) batch(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	facts, err := l.facts(ctx)
	if err != nil {
		return nil, err
	}
	asked := map[portal.PersonID]bool{}
	var clauses []clause
	for _, id := range ids {
		if by, ok := l.idClause(id); ok {
			clauses = append(clauses, by)
			asked[id] = true
		}
	}
	if len(clauses) == 0 {
		return nil, nil
	}
	var entries []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, k *link) (err error) {
		entries, err = k.search(ctx, query{
			base: facts.base, scope: ldap.ScopeWholeSubtree, limit: len(clauses) + 1,
			filter: "(&" + l.d.a.PersonFilter + anyFilter(clauses) + ")", attributes: l.personAttributes(),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return l.asAsked(entries, asked)
}

// asAsked makes people of entries, each of whom was asked for and comes once.
func (l *LDAP) asAsked(entries []entry, asked map[portal.PersonID]bool) ([]portal.Person, error) {
	var people []portal.Person
	for _, e := range entries {
		if !l.d.isPerson(e) {
			return nil, fmt.Errorf("%s does not look like a person", e.DN)
		}
		p, err := l.d.person(e)
		if err != nil {
			return nil, err
		}
		if !asked[p.ID] {
			return nil, fmt.Errorf("the server answered with %s, whom nobody asked for, or twice", e.DN)
		}
		asked[p.ID] = false
		people = append(people, p)
	}
	return people, nil
}

// idClause finds an id; it is false for what is no id of this directory.
func (l *LDAP) idClause(id portal.PersonID) (clause, bool) {
	if l.c.Kind == ActiveDirectory {
		guid, err := parseGUID(id)
		return clause{attribute: l.d.a.ID, value: string(guid), binary: true}, err == nil
	}
	return clause{attribute: l.d.a.ID, value: string(id)}, id != "" && len(id) <= maxLogin
}
