package directory_test

import (
	"errors"
	"testing"

	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

// TestA11_SambaUnreadableAccount has an account whose userAccountControl the portal may
// not read. It is refused in words of its own, and others are read and found with it.
func TestA11_SambaUnreadableAccount(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	anna := fx.dc.AddUser(t, samba.User{Login: "world-anna"})
	unread := fx.dc.Entry(t, samba.Unread)
	people, err := fx.people.People(t.Context(), []portal.PersonID{idOf(anna), idOf(unread)})
	var bad *portal.UnreadableError
	if !errors.As(err, &bad) || bad.Of(idOf(unread)) == nil || len(people) != 1 || people[0].ID != idOf(anna) {
		t.Errorf("People = %+v, %v, want Anna and an error about the other", people, err)
	}
	people, _, err = fx.people.Search(t.Context(), "world", 100)
	if !errors.As(err, &bad) || len(bad.People) != 1 || bad.Of(idOf(unread)) == nil || len(people) < samba.Sharers {
		t.Errorf("Search = %d people, %v, want all but one", len(people), err)
	}
	if _, err := fx.people.Authenticate(t.Context(), "world-unread", samba.Password); reasonOf(err) != portal.EntryUnread {
		t.Errorf("signing in: %v, want %q", err, portal.EntryUnread)
	}
	if _, err := fx.people.Authenticate(t.Context(), "world-unread", "wrong-one"); reasonOf(err) != credentials {
		t.Errorf("signing in with a wrong password: %v, want ErrCredentials", err)
	}
	fx.wantRefused(t, idOf(unread), portal.EntryUnread)
	if _, err := fx.enrol(idOf(anna), "anna"); err != nil {
		t.Errorf("enrolling another person: %v", err)
	}
}
