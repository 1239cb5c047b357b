package web_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/web"
)

// TestRolesNamePeopleAndGroups: the page lists the people of each role with a link, and the
// groups that give it. A directory that does not answer is a sentence on it.
func TestRolesNamePeopleAndGroups(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	got := p.signedIn("aud", linux).get("/admin/people")
	if text := got.text(); !strings.Contains(text, "Ada Admin") || !strings.Contains(text, "Hedi Help") || strings.Contains(text, "Through group") {
		t.Errorf("accounts with roles: %s", text)
	}
	if got.link("Ada Admin") != "/helpdesk/people/id-of-ada" {
		t.Errorf("a name leads to %q", got.link("Ada Admin"))
	}

	var err error
	groups := []portal.RoleGroup{
		{Role: portal.Helpdesk, Name: "CN=Desk,DC=corp", More: true, People: []portal.Person{{ID: "id-of-anna", Name: "Anna Muster", UPN: "anna@example.com"}}},
		{Role: portal.Auditor, Name: "<b>Auditors</b>", Err: portal.ErrNotFound},
		{Role: portal.Admin, Name: "Portal Admins", Err: errors.New("a timeout that staff need not read")},
	}
	p.reopen(func(c *web.Config) {
		c.Admin, err = admin.New(admin.Config{Store: p.db, Now: p.clock.Now, RoleGroups: func(context.Context, int) ([]portal.RoleGroup, error) { return groups, nil }})
	})
	if err != nil {
		t.Fatal(err)
	}
	text := p.signedIn("ada", linux).get("/admin/people").text()
	for _, want := range []string{
		"CN=Desk,DC=corp", "Anna Muster", "More people have this role than the one shown", "<b>Auditors</b> is a group that the directory does not know",
		"Portal Admins did not answer in time or may not be read", "Stop issuing, and let it go on",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q: %s", want, text)
		}
	}
	if strings.Contains(text, "a timeout that staff") {
		t.Errorf("the page shows an error of the program: %s", text)
	}
}

// TestRolesOfASilentDirectory: what each role may do is on the page all the same.
func TestRolesOfASilentDirectory(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.reopen(func(c *web.Config) {
		c.Admin, _ = admin.New(admin.Config{Store: p.db, Now: p.clock.Now, RoleGroups: func(context.Context, int) ([]portal.RoleGroup, error) {
			return nil, errors.New("no answer")
		}})
	})
	got := p.signedIn("ada", linux).get("/admin/people")
	if text := got.text(); got.status != 200 || !strings.Contains(text, "The directory did not answer") || !strings.Contains(text, "Stop issuing, and let it go on") {
		t.Errorf("got %d: %s", got.status, text)
	}
}
