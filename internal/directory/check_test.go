package directory_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/ldapserver"
)

func TestCheckOfAGoodDirectory(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	desk := s.Group("Desk", 2002)
	l := client(t, func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{portal.Helpdesk: {desk}, portal.Admin: {ldapserver.SID(2002)}}
	}, s)
	for _, f := range l.Check(t.Context()) {
		if f.State != portal.FindingOK {
			t.Errorf("%s: %s: %s", f.What, f.State, f.Text)
		}
		if !strings.HasSuffix(f.Text, ".") || f.What == "" {
			t.Errorf("%q: %q is no sentence", f.What, f.Text)
		}
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	a := ldapserver.NewAuthority(t)
	type config = directory.LDAPConfig
	tests := []struct {
		name   string
		server ldapserver.Config
		spoil  func(*ldapserver.Server)
		change func(*config)
		state  portal.FindingState
		want   string
	}{
		{name: "unknown CA", change: func(c *config) { c.Roots = ldapserver.NewAuthority(t).Roots() },
			state: portal.FindingFailed, want: `"CN=Test Directory CA". Put the certificate of this CA into directory.ca_file`},
		{name: "other host", server: ldapserver.Config{Authority: a, Names: []string{"dc1.corp.example.test", "127.0.0.9"}},
			state: portal.FindingFailed, want: "is for dc1.corp.example.test, 127.0.0.9 and not for 127.0.0.1"},
		{name: "negative serial number", server: ldapserver.Config{Authority: a.Odd(ldapserver.NegativeSerial)},
			state: portal.FindingOK, want: "answers under TLS with a trusted certificate"},
		{name: "SHA-1", server: ldapserver.Config{Authority: a.Odd(ldapserver.SHA1)}, state: portal.FindingFailed,
			want: "The server's certificate is signed with ECDSA-SHA1, which is refused from every CA. Issue it again with SHA-256."},
		{name: "no names", server: ldapserver.Config{Authority: a.Odd(ldapserver.NoNames)}, state: portal.FindingFailed,
			want: `has no subject alternative name, only the common name "127.0.0.1"`},
		{name: "expired", server: ldapserver.Config{Authority: a.Until(time.Now().Add(-time.Hour))}, state: portal.FindingFailed, want: "and not now"},
		{name: "expires soon", server: ldapserver.Config{Authority: a.Until(time.Now().Add(100 * time.Hour))},
			state: portal.FindingWarning, want: "in 4 days"},
		{name: "no TLS", server: ldapserver.Config{Plain: true}, change: func(c *config) {
			c.Servers[0] = strings.Replace(c.Servers[0], "ldap:", "ldaps:", 1)
		}, state: portal.FindingFailed, want: "TLS"},
		{name: "StartTLS refused", server: ldapserver.Config{StartTLS: true}, spoil: func(s *ldapserver.Server) {
			s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool { c.Result(r, 52, ""); return true })
		}, state: portal.FindingFailed, want: "refuses StartTLS"},
		{name: "down", spoil: (*ldapserver.Server).Stop, state: portal.FindingFailed, want: "Nothing listens"},
		{name: "silent", spoil: func(s *ldapserver.Server) { s.Mute(true) }, change: func(c *config) { c.Timeout = 100 * time.Millisecond },
			state: portal.FindingFailed, want: "does not answer in time"},
		{name: "no such host", change: func(c *config) { c.Servers[0] = "ldaps://dc.invalid" }, state: portal.FindingFailed, want: "dc.invalid"},
		{name: "wrong password", change: func(c *config) { c.Password = func() (string, error) { return "x", nil } },
			state: portal.FindingFailed, want: "wrong password, or no such account. Check directory.user"},
		{name: "empty password", change: func(c *config) { c.Password = func() (string, error) { return "", nil } },
			state: portal.FindingFailed, want: "it is empty"},
		{name: "disabled", spoil: refuse("533"), state: portal.FindingFailed, want: "it is disabled"},
		{name: "run out", spoil: refuse("532"), state: portal.FindingFailed, want: "its password has run out"},
		{name: "must change", spoil: refuse("773"), state: portal.FindingFailed, want: "must be changed"},
		{name: "locked", spoil: refuse("775"), state: portal.FindingFailed, want: "it is locked out"},
		{name: "wants TLS", spoil: func(s *ldapserver.Server) { s.Refuse(ldapserver.Reader, 8, "") }, state: portal.FindingFailed, want: "wants TLS"},
		{name: "no such base", change: func(c *config) { c.Base = "OU=gone," + ldapserver.Base }, state: portal.FindingFailed, want: "There is no OU=gone"},
		{name: "nobody there", change: func(c *config) { c.Base = "CN=Partitions,CN=Configuration," + ldapserver.Base },
			state: portal.FindingFailed, want: "No person is found"},
		{name: "groups not readable", spoil: without("tokenGroups"), state: portal.FindingFailed, want: "tokenGroups is missing or may not be read"},
		{name: "state not readable", spoil: without("userAccountControl"), state: portal.FindingFailed, want: "userAccountControl is missing"},
		{name: "other domain", change: func(c *config) { c.Domain = "other.example" }, state: portal.FindingFailed, want: `not "other.example"`},
		{name: "group to enrol gone", change: func(c *config) { c.Enroll = []string{"CN=gone," + ldapserver.Base} },
			state: portal.FindingFailed, want: `There is no group "CN=gone,`},
		{name: "group of a role gone", change: func(c *config) {
			c.Roles = map[portal.Role][]string{portal.Admin: {"CN=gone," + ldapserver.Base}}
		}, state: portal.FindingWarning, want: `There is no group "CN=gone,`},
		{name: "SID that is nobody's", change: func(c *config) { c.Protected = []string{ldapserver.SID(9)} },
			state: portal.FindingWarning, want: "No group of this domain has the SID"},
		{name: "SID of a person", change: func(c *config) { c.Protected = []string{ldapserver.SID(annaNumber)} },
			state: portal.FindingWarning, want: "is no group"},
		{name: "nobody is admin", state: portal.FindingWarning, want: "No group makes a person an administrator"},
		{name: "clock, minutes", change: func(c *config) { c.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } },
			state: portal.FindingWarning, want: "apart"},
		{name: "clock, much", change: func(c *config) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } },
			state: portal.FindingFailed, want: "1h0m0s apart"},
		{name: "two domains", spoil: func(s *ldapserver.Server) {
			s.Add(ldapserver.Entry{DN: "CN=SUB,CN=Partitions,CN=Configuration," + ldapserver.Base, Attributes: map[string][]string{
				"objectClass": {"crossRef"}, "nETBIOSName": {"SUB"},
			}})
		}, state: portal.FindingWarning, want: "The forest has 2 domains. Set directory.global_catalog"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := corp(t, tt.server)
			if tt.spoil != nil {
				tt.spoil(s)
			}
			l := client(t, tt.change, s)
			var all []string
			for _, f := range l.Check(t.Context()) {
				if f.State == tt.state && strings.Contains(f.Text, tt.want) {
					return
				}
				all = append(all, string(f.State)+": "+f.Text)
			}
			t.Errorf("no %s with %q in\n%s", tt.state, tt.want, strings.Join(all, "\n"))
		})
	}
}

func refuse(code string) func(*ldapserver.Server) {
	return func(s *ldapserver.Server) { s.Refuse(ldapserver.Reader, 49, ldapserver.Subcode(code)) }
}

func without(attribute string) func(*ldapserver.Server) {
	return func(s *ldapserver.Server) { s.Change(annaDN, func(a map[string][]string) { delete(a, attribute) }) }
}

// A refused password is sent to one server only, so that a check does not lock the portal's
// account.
func TestCheckTriesARefusedPasswordOnce(t *testing.T) {
	a := ldapserver.NewAuthority(t)
	first, second := corp(t, ldapserver.Config{Authority: a}), corp(t, ldapserver.Config{Authority: a})
	l := client(t, func(c *directory.LDAPConfig) { c.Password = func() (string, error) { return "wrong", nil } }, first, second)
	l.Check(t.Context())
	if got := len(first.Requests(ldapserver.Bind)) + len(second.Requests(ldapserver.Bind)); got != 1 {
		t.Errorf("%d binds, want 1", got)
	}
}

// The findings never contain the password.
func TestCheckShowsNoPassword(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	for _, password := range []string{ldapserver.ReaderPassword, "wrong secret"} {
		l := client(t, func(c *directory.LDAPConfig) { c.Password = func() (string, error) { return password, nil } }, s)
		for _, f := range l.Check(t.Context()) {
			if strings.Contains(f.Text, password) {
				t.Errorf("%q shows the password", f.Text)
			}
		}
	}
}
