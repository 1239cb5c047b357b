package drift_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// hide makes entries unreadable, for requests about many people and about one.
func (f *fault) hide(ids ...portal.PersonID) {
	f.many = func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
		bad := &portal.UnreadableError{}
		people = slices.DeleteFunc(people, func(p portal.Person) bool {
			hidden := slices.Contains(ids, p.ID)
			if hidden {
				bad.People = append(bad.People, unreadable(p.ID))
			}
			return hidden
		})
		if len(bad.People) > 0 {
			err = fmt.Errorf("reading people: %w", bad)
		}
		return people, err
	}
	f.one = func(_ context.Context, p portal.Person, err error) (portal.Person, error) {
		if slices.Contains(ids, p.ID) {
			return portal.Person{}, &portal.UnreadableError{People: []portal.Unreadable{unreadable(p.ID)}}
		}
		return p, err
	}
}

func unreadable(id portal.PersonID) portal.Unreadable {
	return portal.Unreadable{Person: portal.Person{ID: id}, Err: errors.New("CN=" + string(id) + ": userAccountControl may not be read")}
}

// TestA11_OneUnreadableAccountStopsNoRevocation has one account among ten that cannot be
// read. It keeps its certificate and is reported; a leaver loses theirs in time.
func TestA11_OneUnreadableAccountStopsNoRevocation(t *testing.T) {
	t.Parallel()
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		c := newHarness(t, address, staff(10)...)
		c.fault.hide("id-p003")
		c.disable("p001")
		r := c.look()
		c.want(r, 2, 0, 0, "")
		testkit.Equal(t, "unreadable", r.Unread, 1)
		testkit.Equal(t, "changed", r.Changed, 1)
		testkit.Equal(t, "mark", c.certificate("p003").Changed, portal.AccountUnread)
		e := c.last(audit.MismatchFound)
		testkit.Equal(t, "person of the entry", e.Person, "id-p003")
		testkit.Equal(t, "why", e.Detail["now-unread"], "account cannot be read: CN=id-p003: userAccountControl may not be read")

		c.clock.Advance(grace)
		c.want(c.look(), 0, 0, 1, "")
		testkit.Equal(t, "leaver", c.certificate("p001").Status, portal.Revoked)
		testkit.Equal(t, "unreadable one", c.certificate("p003").Status, portal.Issued)

		c.fault.mend()
		c.want(c.look(), 0, 1, 0, "")
		testkit.Equal(t, "mark after mending", c.certificate("p003").Changed, portal.Change(""))
	})
}

// TestA11_UnreadableLeaver has an account that was seen disabled become unreadable, as in a
// container for leavers that the portal may not read: the grace period goes on.
func TestA11_UnreadableLeaver(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.disable("p001")
	c.want(c.look(), 1, 0, 0, "")
	c.fault.hide("id-p001")
	c.want(c.look(), 1, 0, 0, "")
	testkit.Equal(t, "gravest mark", c.certificate("p001").Changed, portal.AccountDisabled)
	c.clock.Advance(grace)
	c.want(c.look(), 0, 0, 1, "")
}

// TestA11_ManyUnreadableAccounts: missing rights do not count as changed people, and only
// when no account can be read the watch stops.
func TestA11_ManyUnreadableAccounts(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(8)...)
	c.disable("p007")
	c.fault.hide("id-p000", "id-p001", "id-p002", "id-p003", "id-p004", "id-p005")
	c.want(c.look(), 7, 0, 0, "")
	c.clock.Advance(grace)
	c.want(c.look(), 0, 0, 1, "")

	c.fault.hide("id-p000", "id-p001", "id-p002", "id-p003", "id-p004", "id-p005", "id-p006")
	r := c.look()
	c.want(r, 0, 0, 0, drift.NoAnswer)
	if r.Err == nil {
		t.Error("stopped without the error of an account")
	}
	c.fault.mend()
	c.want(c.look(), 0, 6, 0, "")
}

// TestA11_LeaverWithUnreadableGroups confirms a leaver whose entry can be read except for
// the groups, which the state of the account does not need.
func TestA11_LeaverWithUnreadableGroups(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.fault.hide("id-p001")
	c.fault.many = nil
	c.disable("p001")
	c.want(c.look(), 1, 0, 0, "")
	testkit.Equal(t, "mark", c.certificate("p001").Changed, portal.AccountDisabled)
}
