package directory_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/ldapserver"
)

func TestA6_EmptyPasswordsNeverLeave(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	for _, password := range []string{"", " ", "\t\r\n", "\u00a0", "\x00", "\x00secret", "secret\x00"} {
		_, err := l.Authenticate(t.Context(), "anna", password)
		wantOutcome(t, err, "credentials")
	}
	if got := s.Connections(); got != 0 {
		t.Errorf("%d connections for empty passwords, want 0", got)
	}
}

func TestA6_CertificateOfAnotherHost(t *testing.T) {
	tests := []struct {
		name   string
		config ldapserver.Config
		roots  bool // trust another CA
	}{
		{"LDAPS, other name", ldapserver.Config{Names: []string{"dc1.corp.example.test"}}, false},
		{"LDAPS, other address", ldapserver.Config{Names: []string{"127.0.0.2"}}, false},
		{"LDAPS, unknown CA", ldapserver.Config{}, true},
		{"LDAPS, expired", ldapserver.Config{Authority: ldapserver.NewAuthority(t).Until(time.Now().Add(-time.Hour))}, false},
		{"StartTLS, other name", ldapserver.Config{StartTLS: true, Names: []string{"dc1.corp.example.test"}}, false},
		{"StartTLS, unknown CA", ldapserver.Config{StartTLS: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := corp(t, tt.config)
			l := client(t, func(c *directory.LDAPConfig) {
				if tt.roots {
					c.Roots = ldapserver.NewAuthority(t).Roots()
				}
			}, s)
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "outage")
			if got := s.Requests(ldapserver.Bind); len(got) != 0 {
				t.Errorf("%d binds, want 0", len(got))
			}
		})
	}
}

func TestA6_StartTLSIsNotGivenUp(t *testing.T) {
	tests := []struct {
		name   string
		config ldapserver.Config
		script ldapserver.Script
	}{
		{"refused", ldapserver.Config{StartTLS: true}, func(c *ldapserver.Conn, r ldapserver.Request) bool {
			c.Result(r, ldap.LDAPResultProtocolError, "no such operation")
			return true
		}},
		{"unavailable", ldapserver.Config{StartTLS: true}, func(c *ldapserver.Conn, r ldapserver.Request) bool {
			c.Result(r, ldap.LDAPResultUnavailable, "no certificate")
			return true
		}},
		{"agreed to and not done", ldapserver.Config{StartTLS: true}, func(c *ldapserver.Conn, r ldapserver.Request) bool {
			c.Result(r, ldap.LDAPResultSuccess, "")
			return true
		}},
		{"answered with a bind", ldapserver.Config{StartTLS: true}, func(c *ldapserver.Conn, r ldapserver.Request) bool {
			r.Op = ldapserver.Bind
			c.Result(r, ldap.LDAPResultSuccess, "")
			return true
		}},
		{"answers injected before TLS", ldapserver.Config{StartTLS: true}, func(c *ldapserver.Conn, r ldapserver.Request) bool {
			c.Result(r, ldap.LDAPResultSuccess, "")
			for id := range int64(10) {
				c.Result(ldapserver.Request{ID: id, Op: ldapserver.Bind}, ldap.LDAPResultSuccess, "")
			}
			return true
		}},
		{"garbage", ldapserver.Config{StartTLS: true}, func(c *ldapserver.Conn, _ ldapserver.Request) bool {
			fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			return true
		}},
		{"LDAPS without TLS", ldapserver.Config{Plain: true}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := corp(t, tt.config)
			s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
				return r.Op == ldapserver.StartTLS && tt.script(c, r)
			})
			l := client(t, func(c *directory.LDAPConfig) {
				c.Timeout = time.Second
				if tt.config.Plain {
					c.Servers = []string{strings.Replace(s.URL(), "ldap:", "ldaps:", 1)}
				}
			}, s)
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "outage")
			for _, r := range s.Requests() {
				if r.Op != ldapserver.StartTLS {
					t.Errorf("%s in the clear", r.Op)
				}
			}
		})
	}
}

func TestStartTLS(t *testing.T) {
	s := corp(t, ldapserver.Config{StartTLS: true})
	l := client(t, nil, s)
	_, err := l.Authenticate(t.Context(), "anna", annaPassword)
	wantOutcome(t, err, "in")
	for _, r := range s.Requests() {
		if !r.TLS && r.Op != ldapserver.StartTLS {
			t.Errorf("%s in the clear", r.Op)
		}
	}
}

func TestA6_ReferralsAreNotFollowed(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan struct{}, 1)
	go func() {
		if _, err := elsewhere.Accept(); err == nil {
			dialled <- struct{}{}
		}
	}()
	s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
		if r.Op != ldapserver.Bind || r.Name != annaDN {
			return false
		}
		result := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationBindResponse, nil, "")
		result.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, ldap.LDAPResultReferral, ""))
		result.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
		result.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
		referral := ber.Encode(ber.ClassContext, ber.TypeConstructed, 3, nil, "")
		referral.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString,
			"ldap://"+elsewhere.Addr().String()+"/"+ldapserver.Base, ""))
		result.AppendChild(referral)
		c.Write(ldapserver.Message(r.ID, result).Bytes())
		return true
	})
	l := client(t, nil, s)
	_, err = l.Authenticate(t.Context(), "anna", annaPassword)
	wantOutcome(t, err, "credentials")
	elsewhere.Close()
	select {
	case <-dialled:
		t.Error("the password's referral was dialled")
	default:
	}
}

func TestA6_SuccessWithoutAnIdentityIsNoSignIn(t *testing.T) {
	identities := []struct {
		name     string
		whoAmI   func(*ldapserver.Conn, ldapserver.Request)
		tokens   []string
		wantADDS portal.Reason
		wantLDAP portal.Reason
	}{
		{"empty", func(c *ldapserver.Conn, r ldapserver.Request) { c.Identity(r, "") }, nil, "credentials", "credentials"},
		{"left out", func(c *ldapserver.Conn, r ldapserver.Request) { c.Result(r, 0, "") }, nil, "credentials", "credentials"},
		{"dn:", func(c *ldapserver.Conn, r ldapserver.Request) { c.Identity(r, "dn:") }, nil, "credentials", "credentials"},
		{"u: and blank", func(c *ldapserver.Conn, r ldapserver.Request) { c.Identity(r, "u: ") }, nil, "credentials", "credentials"},
		{"anonymous SID", func(c *ldapserver.Conn, r ldapserver.Request) { c.Identity(r, "") },
			[]string{"\x01\x01\x00\x00\x00\x00\x00\x05\x07\x00\x00\x00"}, "credentials", "credentials"},
		{"another's SID", func(c *ldapserver.Conn, r ldapserver.Request) { c.Identity(r, "") },
			[]string{ldapserver.SIDBytes(annaNumber + 1)}, "credentials", "credentials"},
		{"unknown operation", func(c *ldapserver.Conn, r ldapserver.Request) { c.Result(r, 2, "not supported") }, nil, "outage", "outage"},
		{"unknown operation, own SID", func(c *ldapserver.Conn, r ldapserver.Request) { c.Result(r, 2, "not supported") },
			[]string{ldapserver.SIDBytes(annaNumber)}, "in", "outage"},
		{"named", func(c *ldapserver.Conn, r ldapserver.Request) { c.Identity(r, `u:CORP\anna`) }, nil, "in", "in"},
	}
	for _, kind := range []directory.Kind{directory.ActiveDirectory, directory.PlainLDAP} {
		for _, tt := range identities {
			t.Run(string(kind)+"/"+tt.name, func(t *testing.T) {
				s := corp(t, ldapserver.Config{})
				door := 0
				s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
					switch {
					case r.Op == ldapserver.Bind && r.Name == annaDN:
						door = r.Connection
						c.Result(r, 0, "")
						return true
					case r.Op == ldapserver.WhoAmI:
						tt.whoAmI(c, r)
						return true
					case r.Op == ldapserver.Search && r.Connection == door:
						c.Entry(r, ldapserver.Entry{Attributes: map[string][]string{"tokenGroups": tt.tokens}})
						c.Result(r, 0, "")
						return true
					}
					return false
				})
				want, l := tt.wantADDS, client(t, nil, s)
				if kind == directory.PlainLDAP {
					want, l = tt.wantLDAP, client(t, asPlain, s)
				}
				_, err := l.Authenticate(t.Context(), "anna", "anything")
				wantOutcome(t, err, want)
			})
		}
	}
}

// asPlain configures the same server as PlainLDAP.
func asPlain(c *directory.LDAPConfig) {
	c.Kind, c.Base = directory.PlainLDAP, ldapserver.Base
	c.Attributes = directory.Attributes{
		PersonFilter: "(objectClass=person)", ID: "sAMAccountName", Login: "sAMAccountName", UPN: "userPrincipalName",
	}
}

func TestA6_OnlySuccessIsSuccess(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	p := client(t, asPlain, s)
	for code := 1; code <= 124; code++ {
		s.Refuse(annaDN, code, "")
		for _, l := range []*directory.LDAP{l, p} {
			if _, err := l.Authenticate(t.Context(), "anna", annaPassword); err == nil {
				t.Errorf("result %d lets Anna in", code)
			}
		}
	}
	s.Refuse(annaDN, 0, "")
	_, err := l.Authenticate(t.Context(), "anna", annaPassword)
	wantOutcome(t, err, "in")
}

func TestSubcodes(t *testing.T) {
	tests := []struct {
		code string
		want portal.Reason
	}{
		{"525", "credentials"}, {"52e", "credentials"}, {"775", "credentials"}, {"57", "credentials"}, {"0", "credentials"},
		{"52E", "credentials"}, {"zzz", "credentials"}, {"", "credentials"},
		{"530", portal.Restricted}, {"531", portal.Restricted},
		{"532", portal.PasswordOld}, {"773", portal.PasswordOld},
		{"533", portal.Disabled}, {"701", portal.Expired},
	}
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	p := client(t, asPlain, s)
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			s.Refuse(annaDN, ldap.LDAPResultInvalidCredentials, ldapserver.Subcode(tt.code))
			got, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, tt.want)
			if got.ID != annaID() {
				t.Errorf("ID %q, want Anna's: the ledger keeps whom it was about", got.ID)
			}
			// Sub-codes are Active Directory's alone.
			_, err = p.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "credentials")
		})
	}
}

func TestPlainLDAPRefusalsOfOneAccount(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	for code, want := range map[int]portal.Reason{
		19: "credentials", 32: "credentials", 48: "credentials", 49: "credentials", 50: "credentials", 53: "credentials",
		1: "outage", 2: "outage", 8: "outage", 13: "outage", 51: "outage", 52: "outage", 80: "outage",
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			l := client(t, asPlain, s)
			s.Refuse(annaDN, code, "")
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, want)
			if errors.Is(err, portal.ErrUnanswered) {
				t.Error("an answer counts as none")
			}
		})
	}
}

// A disabled account is refused even when the server accepts its bind.
func TestAccountStateIsReadFromTheEntry(t *testing.T) {
	tests := []struct {
		name, attribute, value string
		want                   portal.Reason
	}{
		{"enabled", "userAccountControl", "512", "in"},
		{"disabled", "userAccountControl", "514", portal.Disabled},
		{"state not readable", "userAccountControl", "", portal.EntryUnread},
		{"state is a word", "userAccountControl", "enabled", portal.EntryUnread},
		{"ended", "accountExpires", "131000000000000000", portal.Expired},
		{"ends later", "accountExpires", "181000000000000000", "in"},
		{"never ends", "accountExpires", "0", "in"},
		{"end not set", "accountExpires", "", "in"},
		{"end in words", "accountExpires", "never", portal.EntryUnread},
		{"groups not readable", "tokenGroups", "", portal.EntryUnread},
		{"a group that is no SID", "tokenGroups", "\x01\x05", portal.EntryUnread},
		{"SID that is none", "objectSid", "\x01\x05", portal.EntryUnread},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := corp(t, ldapserver.Config{})
			s.Change(annaDN, func(a map[string][]string) {
				a[tt.attribute] = []string{tt.value}
				if tt.value == "" {
					delete(a, tt.attribute)
				}
			})
			s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool { // who signed in is not the question here
				if r.Op != ldapserver.WhoAmI {
					return false
				}
				c.Identity(r, `u:CORP\anna`)
				return true
			})
			_, err := client(t, nil, s).Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, tt.want)
		})
	}
}
