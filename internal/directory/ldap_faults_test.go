package directory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/ldapserver"
)

// misbehaviour is an invalid response to a search.
type misbehaviour struct {
	name   string
	answer func(*ldapserver.Conn, ldapserver.Request)
}

func misbehaviours() []misbehaviour {
	raw := func(s string) func(*ldapserver.Conn, ldapserver.Request) {
		return func(c *ldapserver.Conn, _ ldapserver.Request) { fmt.Fprint(c, s) }
	}
	return []misbehaviour{
		{"silence", func(c *ldapserver.Conn, _ ldapserver.Request) { c.Hang() }},
		{"closed", func(c *ldapserver.Conn, _ ldapserver.Request) { c.Close() }},
		{"text", raw("HTTP/1.1 200 OK\r\n\r\n")},
		{"zeros", raw(strings.Repeat("\x00", 1000))},
		{"ones", raw(strings.Repeat("\xff", 1000))},
		{"not a message", raw("\x04\x03abc")},
		{"empty message", raw("\x30\x00")},
		{"message without operation", raw("\x30\x03\x02\x01\x01")},
		{"endless length", raw("\x30\x80\x02\x01\x01")},
		{"length of nine octets", raw("\x30\x89\x01\x01\x01\x01\x01\x01\x01\x01\x01")},
		{"1.9 GiB announced", raw("\x30\x84\x79\x99\x99\x99" + strings.Repeat("\x04\x00", 4000))},
		{"part longer than the whole", raw("\x30\x05\x02\x01\x01\x64\x7f")},
		{"a thousand levels", raw("\x30\x82\x0f\xa0" + strings.Repeat("\x30\x82\x0f\x00", 1000))},
		{"truncated", func(c *ldapserver.Conn, _ ldapserver.Request) { fmt.Fprint(c, "\x30\x0c\x02\x01"); c.Close() }},
		{"another message's id", func(c *ldapserver.Conn, r ldapserver.Request) { r.ID += 1000; c.Result(r, 0, "") }},
		{"id zero", func(c *ldapserver.Conn, r ldapserver.Request) { r.ID = 0; c.Result(r, 0, "") }},
		{"busy", func(c *ldapserver.Conn, r ldapserver.Request) { c.Result(r, 51, "") }},
		{"unavailable", func(c *ldapserver.Conn, r ldapserver.Request) { c.Result(r, 52, "") }},
		{"forgot who asks", func(c *ldapserver.Conn, r ldapserver.Request) { c.Result(r, 1, "000004DC: LdapErr") }},
		{"half a result", func(c *ldapserver.Conn, r ldapserver.Request) {
			fmt.Fprintf(c, "\x30\x08\x02\x01%c\x65\x03\x0a\x01\x00", byte(r.ID))
		}},
		{"entries without end", endless},
	}
}

// endless sends entries until the client disconnects.
func endless(c *ldapserver.Conn, r ldapserver.Request) {
	e := ldapserver.Entry{DN: annaDN, Attributes: map[string][]string{"mail": {strings.Repeat("x", 60000)}}}
	message := ldapserver.EntryMessage(r, e)
	for {
		if _, err := c.Write(message); err != nil {
			return
		}
	}
}

func (m misbehaviour) script(c *ldapserver.Conn, r ldapserver.Request) bool {
	if r.Op != ldapserver.Search {
		return false
	}
	m.answer(c, r)
	return true
}

// Every misbehaviour is an outage: it neither signs a person in nor reports one as deleted.
func TestF7_MisbehaviourIsAnOutage(t *testing.T) {
	for _, m := range misbehaviours() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := corp(t, ldapserver.Config{})
			s.Obey(m.script)
			l := client(t, func(c *directory.LDAPConfig) { c.Timeout = 500 * time.Millisecond }, s)
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "outage")
			if _, err := l.Person(t.Context(), annaID()); err == nil || errors.Is(err, portal.ErrNotFound) {
				t.Errorf("Person: %v, want an outage", err)
			}
			if _, err := l.People(t.Context(), []portal.PersonID{annaID()}); err == nil {
				t.Error("People has an answer")
			}
		})
	}
}

// The same on connections that worked before, in the middle of a sign-in.
func TestF7_MisbehaviourLater(t *testing.T) {
	for _, m := range misbehaviours() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := corp(t, ldapserver.Config{})
			l := client(t, func(c *directory.LDAPConfig) { c.Timeout = 5 * time.Second }, s)
			if _, err := l.Person(t.Context(), annaID()); err != nil {
				t.Fatal(err)
			}
			s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
				return strings.HasPrefix(r.Name, "<GUID=") && m.script(c, r)
			})
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "outage")
			s.Obey(nil)
			if _, err := l.Person(t.Context(), annaID()); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestF7_TheNextServerIsAsked(t *testing.T) {
	for _, m := range misbehaviours() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			a := ldapserver.NewAuthority(t)
			first, second := corp(t, ldapserver.Config{Authority: a}), corp(t, ldapserver.Config{Authority: a})
			first.Obey(m.script)
			later := &clock{}
			l := client(t, func(c *directory.LDAPConfig) { c.Now = later.now }, first, second)
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "in")
			first.Forget()
			_, err = l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "in")
			if got := first.Requests(); len(got) != 0 {
				t.Errorf("%d requests to a server that just failed, want 0", len(got))
			}
			first.Obey(nil)
			second.Stop()
			later.forward(31 * time.Second)
			_, err = l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "in")
		})
	}
}

func TestF7_ServersThatDoNotOpen(t *testing.T) {
	a := ldapserver.NewAuthority(t)
	tests := []struct {
		name  string
		first func() *ldapserver.Server
	}{
		{"nothing listens", func() *ldapserver.Server { s := corp(t, ldapserver.Config{Authority: a}); s.Stop(); return s }},
		{"silence before TLS", func() *ldapserver.Server { s := corp(t, ldapserver.Config{Authority: a}); s.Mute(true); return s }},
		{"silence before StartTLS", func() *ldapserver.Server {
			s := corp(t, ldapserver.Config{Authority: a, StartTLS: true})
			s.Mute(true)
			return s
		}},
		{"another name", func() *ldapserver.Server { return corp(t, ldapserver.Config{Authority: a, Names: []string{"dc2"}}) }},
		{"silence at the bind", func() *ldapserver.Server {
			s := corp(t, ldapserver.Config{Authority: a})
			s.Obey(func(c *ldapserver.Conn, _ ldapserver.Request) bool { c.Hang(); return true })
			return s
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			second := corp(t, ldapserver.Config{Authority: a})
			l := client(t, nil, tt.first(), second)
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "in")
		})
	}
}

// The directory may have counted a password without a response as wrong, so it is sent to
// no server again.
func TestF7_APasswordIsSentOnce(t *testing.T) {
	for _, m := range misbehaviours() {
		switch m.name {
		case "busy", "unavailable", "forgot who asks", "entries without end", "half a result":
			continue // valid results, or not applicable to a bind
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			a := ldapserver.NewAuthority(t)
			first, second := corp(t, ldapserver.Config{Authority: a}), corp(t, ldapserver.Config{Authority: a})
			l := client(t, func(c *directory.LDAPConfig) { c.Timeout = time.Second }, first, second)
			first.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
				if r.Op != ldapserver.Bind || r.Name != annaDN {
					return false
				}
				m.answer(c, r)
				return true
			})
			p, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, "outage")
			if !errors.Is(err, portal.ErrUnanswered) || p.ID != annaID() {
				t.Errorf("Authenticate = %q, %v, want ErrUnanswered about Anna", p.ID, err)
			}
			sent := 0
			for _, r := range append(first.Requests(ldapserver.Bind), second.Requests(ldapserver.Bind)...) {
				if r.Password == annaPassword {
					sent++
				}
			}
			if sent != 1 {
				t.Errorf("the password was sent %d times, want once", sent)
			}
		})
	}
}

// A failed connection has received no password, so the next server is tried.
func TestF7_BindAtTheNextServer(t *testing.T) {
	a := ldapserver.NewAuthority(t)
	first, second := corp(t, ldapserver.Config{Authority: a}), corp(t, ldapserver.Config{Authority: a})
	l := client(t, nil, first, second)
	if _, err := l.Person(t.Context(), annaID()); err != nil {
		t.Fatal(err)
	}
	first.Mute(true)
	_, err := l.Authenticate(t.Context(), "anna", annaPassword)
	wantOutcome(t, err, "in")
}

func TestF7_NoMoreThan32AtOnce(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, func(c *directory.LDAPConfig) { c.Timeout = 2 * time.Second }, s)
	if _, err := l.Person(t.Context(), annaID()); err != nil {
		t.Fatal(err)
	}
	s.Obey(misbehaviour{answer: func(c *ldapserver.Conn, _ ldapserver.Request) { c.Hang() }}.script)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := l.Person(t.Context(), annaID()); err == nil || errors.Is(err, portal.ErrNotFound) {
				t.Errorf("Person: %v, want an outage", err)
			}
		})
	}
	wg.Wait()
	if got := s.Busiest(); got > 32 || got < 2 {
		t.Errorf("%d requests in progress at once, want 32 at most", got)
	}
}

// A server must not be able to exhaust the portal's memory, neither by an announced length
// nor by an endless response.
func TestF7_MemoryIsBounded(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, func(c *directory.LDAPConfig) { c.Timeout = 2 * time.Second }, s)
	for _, m := range misbehaviours() {
		if m.name != "1.9 GiB announced" && m.name != "entries without end" && m.name != "a thousand levels" {
			continue
		}
		s.Obey(m.script)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := l.Person(t.Context(), annaID())
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", m.name)
		}
		if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 64 {
			t.Errorf("%s: %d MiB allocated, want 64 at most", m.name, used)
		}
	}
}

func TestF7_TimeoutHolds(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	s.Mute(true)
	l := client(t, func(c *directory.LDAPConfig) { c.Timeout = 100 * time.Millisecond }, s, s, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := l.Authenticate(ctx, "anna", annaPassword); err == nil || ctx.Err() != nil {
		t.Errorf("Authenticate: %v, the test's own time ended: %v", err, ctx.Err())
	}
}
