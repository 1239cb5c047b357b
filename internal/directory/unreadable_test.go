package directory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"certportal/internal/portal"
	"certportal/internal/test/ldapserver"
)

// spoilt are changes of an entry after which it cannot be read in full.
func spoilt() []func(map[string][]string) {
	return []func(map[string][]string){
		func(a map[string][]string) { delete(a, "userAccountControl") },
		func(a map[string][]string) { a["userAccountControl"] = []string{"many"} },
		func(a map[string][]string) {
			a["userPrincipalName"] = []string{"a@corp.example.test", "b@corp.example.test"}
		},
		func(a map[string][]string) { a["accountExpires"] = []string{"tomorrow"} },
		func(a map[string][]string) { a["objectSid"] = []string{"\x01"} },
		func(a map[string][]string) { a["objectClass"] = []string{"person", "user", "computer"} },
	}
}

// TestA11_OneBadEntryAmongMany reads 250 people, some with entries that cannot be
// read. The others are read, searched and found, and the error names the entries.
func TestA11_OneBadEntryAmongMany(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	var ids []portal.PersonID
	for i := range uint32(250) {
		s.Person(fmt.Sprintf("p%d", i), "password", 3000+i)
		ids = append(ids, portal.PersonID(ldapserver.GUID(3000+i)))
	}
	for i, spoil := range spoilt() {
		s.Change(fmt.Sprintf("CN=p%d,CN=Users,%s", 7+30*i, ldapserver.Base), spoil)
	}
	l := client(t, nil, s)
	got, err := l.People(t.Context(), ids)
	var unread *portal.UnreadableError
	if !errors.As(err, &unread) || len(unread.People) != len(spoilt()) || len(got) != 250-len(spoilt()) {
		t.Fatalf("%d people, %v, want %d and an error about the others", len(got), err, 250-len(spoilt()))
	}
	for i := range spoilt() {
		id := portal.PersonID(ldapserver.GUID(uint32(3007 + 30*i)))
		if err := unread.Of(id); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("CN=p%d,", 7+30*i)) {
			t.Errorf("error about person %d: %v, want its DN", 7+30*i, err)
		}
	}
	found, more, err := l.Search(t.Context(), "p7", 50)
	if !errors.As(err, &unread) || len(unread.People) != 1 || unread.People[0].Person.Login != "p7" || len(found) != 10 || more {
		t.Errorf("Search = %d people, more %v, %v, want 10 and an error about p7", len(found), more, err)
	}
}

// TestA11_AnUnreadableEntryIsNotGone reads one person whose entry lacks an attribute: that
// is neither an absent person nor an outage.
func TestA11_AnUnreadableEntryIsNotGone(t *testing.T) {
	for _, attribute := range []string{"userAccountControl", "sAMAccountName", "objectClass", "objectGUID", "tokenGroups"} {
		t.Run(attribute, func(t *testing.T) {
			s := corp(t, ldapserver.Config{})
			anna := ldapserver.Entry{DN: annaDN, Attributes: map[string][]string{}}
			s.Change(annaDN, func(a map[string][]string) {
				for name, values := range a {
					if name != attribute {
						anna.Attributes[name] = values
					}
				}
			})
			s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
				if !strings.HasPrefix(r.Name, "<GUID=") {
					return false
				}
				c.Entry(r, anna)
				c.Result(r, 0, "")
				return true
			})
			p, err := client(t, nil, s).Person(t.Context(), annaID())
			var unread *portal.UnreadableError
			if !errors.As(err, &unread) || unread.Of(annaID()) == nil || errors.Is(err, portal.ErrNotFound) {
				t.Errorf("Person = %+v, %v, want an error about this person", p, err)
			}
			if got := refusalOf(err).Reason; got != portal.EntryUnread {
				t.Errorf("refused for %q, want %q", got, portal.EntryUnread)
			}
		})
	}
}
