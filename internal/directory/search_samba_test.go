package directory_test

import (
	"fmt"
	"slices"
	"testing"

	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

// TestSambaReadsManyAtOnce reads people as the drift watch does.
func TestSambaReadsManyAtOnce(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	ids := []portal.PersonID{"00000000-0000-0000-0000-000000000001", "no-guid"}
	states := map[portal.PersonID]portal.Person{}
	for i := range 250 {
		login := fmt.Sprintf("user%03d", i)
		e := fx.dc.AddUser(t, samba.User{Login: login, Disabled: i%50 == 1})
		if i%50 == 2 {
			fx.dc.Expire(t, e.DN)
		}
		ids = append(ids, idOf(e))
		states[idOf(e)] = portal.Person{Login: login, UPN: login + "@" + samba.Domain, SID: e.SID, Disabled: i%50 == 1, Expired: i%50 == 2}
	}
	people, err := fx.people.People(t.Context(), ids)
	if err != nil || len(people) != len(states) {
		t.Fatalf("%d people, %v, want %d", len(people), err, len(states))
	}
	for _, p := range people {
		want, known := states[p.ID]
		if !known || p.Login != want.Login || p.UPN != want.UPN || p.SID != want.SID || p.Disabled != want.Disabled || p.Expired != want.Expired {
			t.Errorf("got %+v, want %+v", p, want)
		}
	}
	fx.dc.Stop()
	if people, err := fx.people.People(t.Context(), ids); err == nil {
		t.Errorf("stopped controller: %d people and no error", len(people))
	}
}

func TestSambaSearch(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes)
	addAnna(t, fx.dc)
	fx.dc.AddUser(t, samba.User{Login: "annabel", Name: "Annabel Smith", GivenName: "Annabel", Surname: "Smith", Mail: "smith@mail.test"})
	fx.dc.AddUser(t, samba.User{Login: "odd", Name: `O(dd) * \ "Name"`, Surname: "O(dd)"})
	fx.dc.AddUser(t, samba.User{Login: "ANNAPC$", Computer: true, UPN: "-"})
	cases := []struct {
		name, query string
		limit       int
		want        []string
		more        bool
	}{
		{"beginning of names", "anna", 10, []string{"anna", "annabel"}, false},
		{"two words", "anna schm", 10, []string{"anna"}, false},
		{"words in any order", "smith annab", 10, []string{"annabel"}, false},
		{"UPN", "anna.schmidt@exa", 10, []string{"anna"}, false},
		{"mail", "a.schmidt@mail", 10, []string{"anna"}, false},
		{"employee number", "004711", 10, []string{"anna"}, false},
		{"limit", "anna", 1, nil, true},
		{"end of a name", "chmidt", 10, nil, false},
		{"star", "*", 10, nil, false},
		{"filter", "anna)(objectClass=*", 10, nil, false},
		{"special characters", "o(dd)", 10, []string{"odd"}, false},
		{"blank", "  ", 10, nil, false},
		{"NUL", "anna\x00", 10, nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			found, more, err := fx.people.Search(t.Context(), c.query, c.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range found {
				got = append(got, p.Login)
			}
			slices.Sort(got)
			if c.more && len(got) == c.limit {
				got = nil // any of them
			}
			if !slices.Equal(got, c.want) || more != c.more {
				t.Errorf("found %v, more %t, want %v, %t", got, more, c.want, c.more)
			}
		})
	}
}
