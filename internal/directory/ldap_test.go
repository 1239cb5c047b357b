package directory_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/ldapserver"
)

// annaNumber is the relative identifier of Anna's SID.
const (
	annaPassword = "Anna's own password"
	annaNumber   = 1101
)

// corp starts a server with a domain and Anna.
func corp(t testing.TB, c ldapserver.Config) *ldapserver.Server {
	t.Helper()
	s := ldapserver.Start(t, c)
	s.Domain()
	s.Person("anna", annaPassword, annaNumber)
	return s
}

const annaDN = "CN=anna,CN=Users," + ldapserver.Base

func annaID() portal.PersonID { return portal.PersonID(ldapserver.GUID(annaNumber)) }

// client returns a client of servers that share a CA.
func client(t testing.TB, change func(*directory.LDAPConfig), servers ...*ldapserver.Server) *directory.LDAP {
	t.Helper()
	c := directory.LDAPConfig{
		Kind: directory.ActiveDirectory, Domain: ldapserver.Name, Roots: servers[0].Roots(),
		User: ldapserver.Reader, Password: func() (string, error) { return ldapserver.ReaderPassword, nil },
		Log: slog.New(slog.DiscardHandler),
	}
	for _, s := range servers {
		c.Servers = append(c.Servers, s.URL())
	}
	if change != nil {
		change(&c)
	}
	l, err := directory.NewLDAP(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// clock is a clock that a test can advance.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// wantOutcome compares the result of a sign-in: a reason, "credentials", "in" or "outage".
func wantOutcome(t *testing.T, err error, want portal.Reason) {
	t.Helper()
	got := portal.Reason("outage")
	var refusal *portal.Refusal
	switch {
	case err == nil:
		got = "in"
	case errors.Is(err, portal.ErrCredentials):
		got = "credentials"
	case errors.As(err, &refusal):
		got = refusal.Reason
	}
	if got != want {
		t.Errorf("signing in: %s (%v), want %s", got, err, want)
	}
}

func TestLDAPConfigRefuses(t *testing.T) {
	good := func() directory.LDAPConfig {
		return directory.LDAPConfig{
			Kind: directory.ActiveDirectory, Servers: []string{"ldaps://dc1.corp.example"}, Domain: "corp.example",
			User: "reader@corp.example", Password: func() (string, error) { return "x", nil },
		}
	}
	if _, err := directory.NewLDAP(good()); err != nil {
		t.Fatalf("the good config: %v", err)
	}
	tests := []struct {
		name   string
		change func(*directory.LDAPConfig)
		want   string
	}{
		{"no kind", func(c *directory.LDAPConfig) { c.Kind = "" }, "kind"},
		{"no servers", func(c *directory.LDAPConfig) { c.Servers = nil }, "servers"},
		{"http", func(c *directory.LDAPConfig) { c.Servers[0] = "http://dc1" }, "ldaps://"},
		{"ldapi", func(c *directory.LDAPConfig) { c.Servers[0] = "ldapi://%2frun" }, "server"},
		{"a path", func(c *directory.LDAPConfig) { c.Servers[0] = "ldaps://dc1/DC=corp" }, "nothing more"},
		{"a password in the address", func(c *directory.LDAPConfig) { c.Servers[0] = "ldaps://a:b@dc1" }, "nothing more"},
		{"no host", func(c *directory.LDAPConfig) { c.Servers[0] = "ldaps://:636" }, "nothing more"},
		{"no user", func(c *directory.LDAPConfig) { c.User = "" }, "user"},
		{"bare user", func(c *directory.LDAPConfig) { c.User = "reader" }, "certportal@corp.example"},
		{"no password", func(c *directory.LDAPConfig) { c.Password = nil }, "password"},
		{"no domain", func(c *directory.LDAPConfig) { c.Domain = "" }, "domain"},
		{"base", func(c *directory.LDAPConfig) { c.Base = "corp.example" }, "base"},
		{"group of a domain", func(c *directory.LDAPConfig) { c.Enroll = []string{`CORP\Phones`} }, "write the name after the backslash, Phones"},
		{"half a DN", func(c *directory.LDAPConfig) { c.Enroll = []string{"CN=Phones"} }, "write all of it"},
		{"group as a pattern", func(c *directory.LDAPConfig) { c.Protected = []string{"*"} }, "group"},
		{"empty group", func(c *directory.LDAPConfig) { c.Roles = map[portal.Role][]string{portal.Admin: {""}} }, "group"},
		{"group by a wrong SID", func(c *directory.LDAPConfig) { c.Protected = []string{"S-1-5-021-1"} }, "SID"},
		{"role", func(c *directory.LDAPConfig) { c.Roles = map[portal.Role][]string{"root": nil} }, "role"},
		{"suffix with an @", func(c *directory.LDAPConfig) { c.UPNSuffixes = []string{"@corp.example"} }, "upn_suffixes"},
		{"attributes", func(c *directory.LDAPConfig) { c.Attributes.UPN = "mail" }, "attributes"},
		{"an attribute for mail, which goes into certificates", func(c *directory.LDAPConfig) { c.Attributes.Mail = "info" }, "attributes"},
		{"a filter as telephone", func(c *directory.LDAPConfig) { c.Attributes.Phone = "mobile)(uid=*" }, "write the name of an attribute"},
		{"plain without base", func(c *directory.LDAPConfig) { c.Kind = directory.PlainLDAP }, "base"},
		{"plain without UPN attribute", func(c *directory.LDAPConfig) { c.Kind, c.Base = directory.PlainLDAP, "dc=x" }, "attributes.upn: name"},
		{"plain with a catalog", func(c *directory.LDAPConfig) {
			c.Kind, c.Base, c.GlobalCatalog = directory.PlainLDAP, "dc=x", []string{"ldaps://x"}
		}, "global_catalog: it is for Active Directory"},
		{"plain with a hostile attribute", func(c *directory.LDAPConfig) {
			c.Kind, c.Base, c.Attributes.UPN, c.Attributes.Login = directory.PlainLDAP, "dc=x", "mail", "uid=*)(cn"
		}, "attribute"},
		{"plain with half a filter", func(c *directory.LDAPConfig) {
			c.Kind, c.Base, c.Attributes.UPN, c.Attributes.PersonFilter = directory.PlainLDAP, "dc=x", "mail", "(a=b)(c=d)"
		}, "filter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.change(&c)
			if _, err := directory.NewLDAP(c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewLDAP: %v, want an error about %q", err, tt.want)
			}
		})
	}
}

func TestReadsReuseConnections(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	for range 100 {
		if _, err := l.Person(t.Context(), annaID()); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Connections(); got != 1 {
		t.Errorf("%d connections for 100 reads, want 1", got)
	}
	if got := len(s.Requests(ldapserver.Bind)); got != 1 {
		t.Errorf("%d binds for 100 reads, want 1", got)
	}
}

// New connections use a password changed in the directory and in its file, without a
// restart.
func TestServicePasswordRotates(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	password := ldapserver.ReaderPassword
	l := client(t, func(c *directory.LDAPConfig) {
		c.Password = func() (string, error) { return password, nil }
	}, s)
	if _, err := l.Person(t.Context(), annaID()); err != nil {
		t.Fatal(err)
	}
	s.SetPassword(ldapserver.Reader, "the next one")
	s.Drop()
	_, err := l.Person(t.Context(), annaID())
	if err == nil || errors.Is(err, portal.ErrCredentials) || !strings.Contains(err.Error(), ldapserver.Reader) ||
		!strings.Contains(err.Error(), "wrong password") {
		t.Errorf("with the old password: %v, want an error that names the account", err)
	}
	if strings.Contains(err.Error(), password) {
		t.Errorf("the error shows the password: %v", err)
	}
	password = "the next one"
	if _, err := l.Person(t.Context(), annaID()); err != nil {
		t.Errorf("with the new password: %v", err)
	}
}

// A refused password of the portal's account is not tried again with every request, which
// would lock the account.
func TestServicePasswordIsNotTriedAgainAtOnce(t *testing.T) {
	s, later := corp(t, ldapserver.Config{}), &clock{}
	second := corp(t, ldapserver.Config{})
	s.Refuse(ldapserver.Reader, 49, ldapserver.Subcode("532"))
	l := client(t, func(c *directory.LDAPConfig) {
		c.Now, c.Servers = later.now, append(c.Servers, second.URL())
	}, s)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "outage")
		})
	}
	wg.Wait()
	if got := len(s.Requests(ldapserver.Bind)) + len(second.Requests(ldapserver.Bind)); got != 1 {
		t.Errorf("%d binds for 40 questions, want 1", got)
	}
	s.Refuse(ldapserver.Reader, 0, "")
	later.forward(31 * time.Second)
	if _, err := l.Person(t.Context(), annaID()); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

// A wrong password of the portal's account stays for a night: the portal asks ever more
// seldom, and another password at once.
func TestA8_ServicePasswordIsTriedEverMoreSeldom(t *testing.T) {
	s, later := corp(t, ldapserver.Config{}), &clock{}
	password := "not the password"
	l := client(t, func(c *directory.LDAPConfig) {
		c.Now, c.Password = later.now, func() (string, error) { return password, nil }
	}, s)
	for range 8 * 60 * 4 { // a request each 15 seconds, for eight hours
		if _, err := l.Person(t.Context(), annaID()); err == nil {
			t.Fatal("read with a wrong password")
		}
		later.forward(15 * time.Second)
	}
	if got := len(s.Requests(ldapserver.Bind)); got < 30 || got > 36 {
		t.Errorf("%d binds in eight hours, want 5 in the first quarter of an hour and one in each later", got)
	}
	s.Refuse(ldapserver.Reader, 49, ldapserver.Subcode("775"))
	later.forward(16 * time.Minute)
	for range 3 {
		if _, err := l.Person(t.Context(), annaID()); err == nil {
			t.Fatal("read by a locked account")
		}
		later.forward(31 * time.Second)
	}
	s.Refuse(ldapserver.Reader, 0, "")
	password = ldapserver.ReaderPassword
	if _, err := l.Person(t.Context(), annaID()); err != nil {
		t.Errorf("with another password: %v", err)
	}
}

func TestIdleConnectionsAreNotTrustedForLong(t *testing.T) {
	s, later := corp(t, ldapserver.Config{}), &clock{}
	l := client(t, func(c *directory.LDAPConfig) { c.Now = later.now }, s)
	wrong := func() {
		_, err := l.Authenticate(t.Context(), "anna", "wrong")
		wantOutcome(t, err, "credentials")
	}
	wrong()
	wrong()
	if got := s.Connections(); got != 2 {
		t.Errorf("%d connections for two wrong passwords, want one for reading and one for binds", got)
	}
	later.forward(2 * time.Minute)
	wrong()
	if got := s.Connections(); got != 4 {
		t.Errorf("%d connections after two minutes, want new ones", got)
	}
}

// A request on an idle connection that the server closed is repeated on a new one.
func TestStaleConnections(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	for range 3 {
		if _, err := l.Person(t.Context(), annaID()); err != nil {
			t.Fatal(err)
		}
		s.Drop()
	}
}

func TestBindConnectionsAreNeverReadOver(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	for range 3 {
		if _, err := l.Authenticate(t.Context(), "anna", annaPassword); err != nil {
			t.Fatal(err)
		}
	}
	readers := map[int]bool{}
	for _, r := range s.Requests(ldapserver.Bind) {
		if r.Name == ldapserver.Reader {
			readers[r.Connection] = true
		}
	}
	owners := map[int]bool{}
	for _, r := range s.Requests() {
		isBind := !readers[r.Connection]
		if isBind && r.Op == ldapserver.Search && (r.Name != "" || !slices.Equal(r.Attributes, []string{"tokenGroups"})) {
			t.Errorf("%q was searched with a person's rights", r.Filter)
		}
		if isBind && r.Op == ldapserver.Bind {
			if owners[r.Connection] {
				t.Error("a connection bound as a person was used again")
			}
			owners[r.Connection] = true
		}
	}
}

func TestAskersMayLeave(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	ctx, leave := context.WithCancel(t.Context())
	s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
		if r.Op == ldapserver.Search {
			leave()
			c.Hang()
			return true
		}
		return false
	})
	if _, err := l.Person(ctx, annaID()); !errors.Is(err, context.Canceled) {
		t.Errorf("Person: %v, want context.Canceled", err)
	}
	// The server is not marked down.
	s.Obey(nil)
	if _, err := l.Person(t.Context(), annaID()); err != nil {
		t.Errorf("the next asker: %v", err)
	}
}
