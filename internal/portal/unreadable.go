package portal

import (
	"fmt"
	"strings"
)

// UnreadableError says that the entries of some people cannot be read or understood: an
// attribute that the portal may not read, or a value of an unknown form. A result
// returned together with it is complete except for these people. It wraps a *Refusal
// with EntryUnread, because the fault is that of the person's entry and not an outage.
type UnreadableError struct{ People []Unreadable }

// Unreadable is a person whose entry cannot be read in full.
type Unreadable struct {
	Person Person // ID, Login and Name, each as far as it can be read
	Err    error  // names the entry and the attribute
}

// Error lists at most three of the people.
func (e *UnreadableError) Error() string {
	const listed = 3
	var texts []string
	for _, u := range e.People[:min(listed, len(e.People))] {
		texts = append(texts, u.Err.Error())
	}
	if more := len(e.People) - listed; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return "account cannot be read: " + strings.Join(texts, "; ")
}

// Unwrap returns the refusal and the causes.
func (e *UnreadableError) Unwrap() []error {
	errs := []error{&Refusal{Reason: EntryUnread}}
	for _, u := range e.People {
		errs = append(errs, u.Err)
	}
	return errs
}

// Of returns the error about one person, nil when the person is not among them.
func (e *UnreadableError) Of(id PersonID) error {
	if e == nil {
		return nil
	}
	for _, u := range e.People {
		if u.Person.ID == id && id != "" {
			return &UnreadableError{People: []Unreadable{u}}
		}
	}
	return nil
}
