package directory

import (
	"fmt"

	"certportal/internal/portal"
)

// unreadable collects the people whose entries cannot be read, so that one bad entry
// does not fail a request about many.
type unreadable struct{ people []portal.Unreadable }

func (u *unreadable) add(p portal.Person, err error) {
	u.people = append(u.people, portal.Unreadable{Person: p, Err: err})
}

// err returns the collected people as an error, nil when there are none.
func (u *unreadable) err(doing string) error {
	if len(u.people) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, &portal.UnreadableError{People: u.people})
}

// unread returns the error about the entry of one person.
func (d decoder) unread(id portal.PersonID, e entry, err error) error {
	p := d.partial(e)
	p.ID = id
	return &portal.UnreadableError{People: []portal.Unreadable{{Person: p, Err: err}}}
}

// partial returns the ID and the names of an entry, as far as they can be read.
func (d decoder) partial(e entry) portal.Person {
	p := portal.Person{Login: e.first(d.a.Login), Name: e.first(d.a.Name)}
	p.ID, _ = d.id(e) // stays empty when it cannot be read
	if p.Name == "" {
		p.Name = p.Login
	}
	return p
}
