package helpdesk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

// Bounds of a search for people.
const (
	MinQuery = 2   // characters
	MaxQuery = 200 // bytes
	MaxFound = 20  // people
)

// Match is a person that matches a query.
type Match struct {
	Person portal.Person // without roles
	Device string        // name of the matching device; empty when a name of the person matches
	Unread bool          // the account cannot be read in full: only ID, login and name are set
}

// Find finds people by a prefix of name, login, address, employee number or device
// name, or by the serial of a certificate. It returns at most MaxFound, and whether
// there are more. Queries that are too short or too long match nothing.
func (s *Service) Find(ctx context.Context, by portal.Actor, query string) (found []Match, more bool, err error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.FindPeople}, refusedAct); err != nil {
		return nil, false, err
	}
	query = strings.TrimSpace(query)
	if utf8.RuneCountInString(query) < MinQuery || len(query) > MaxQuery {
		return nil, false, nil
	}
	people, more, err := s.c.Directory.Search(ctx, query, MaxFound)
	found, err = s.matches(people, err)
	if err != nil {
		return nil, false, err
	}
	known := make(map[portal.PersonID]bool, len(found))
	for _, m := range found {
		known[m.Person.ID] = true
	}
	holders, err := s.findByDevice(ctx, query, known)
	if err != nil {
		return nil, false, err
	}
	found = append(found, holders...)
	if len(found) > MaxFound {
		found, more = found[:MaxFound], true
	}
	return found, more, nil
}

// findByDevice finds people by their devices, except those already known.
func (s *Service) findByDevice(ctx context.Context, query string, known map[portal.PersonID]bool) ([]Match, error) {
	devices, err := s.c.Store.FindDevices(ctx, query, MaxFound+1)
	if err != nil {
		return nil, storeErr("finding devices", err)
	}
	var ids []portal.PersonID
	names := make(map[portal.PersonID]string)
	for _, d := range devices {
		if !known[d.Person] && names[d.Person] == "" {
			ids = append(ids, d.Person)
			names[d.Person] = d.Name
		}
	}
	found, err := s.people(ctx, ids)
	for i, m := range found {
		found[i].Device = names[m.Person.ID]
	}
	return found, err
}

// people reads the people that the directory knows.
func (s *Service) people(ctx context.Context, ids []portal.PersonID) ([]Match, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	people, err := s.c.Directory.People(ctx, ids)
	return s.matches(people, err)
}

// matches makes matches of a result of the directory. People whose entries cannot be
// read are among them, after the others; other errors are an outage.
func (s *Service) matches(people []portal.Person, err error) ([]Match, error) {
	var unread *portal.UnreadableError
	if err != nil && !errors.As(err, &unread) {
		return nil, &portal.Outage{Part: portal.PartDirectory, Err: fmt.Errorf("finding people: %w", err)}
	}
	var found []Match
	for _, p := range people {
		found = append(found, Match{Person: p})
	}
	if unread != nil {
		s.c.Log.Warn("accounts cannot be read", "err", err)
		for _, u := range unread.People {
			found = append(found, Match{Person: u.Person, Unread: true})
		}
	}
	return found, nil
}
