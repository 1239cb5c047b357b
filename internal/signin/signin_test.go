package signin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestSignIn(t *testing.T) {
	h := newPortal(t)
	p, err := h.SignIn.Authenticate(t.Context(), " CORP\\Anna ", fixture.Password, portal.Actor{Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.ID, h.anna.ID; got != want {
		t.Errorf("signed in %q, want %q", got, want)
	}
	entries := h.Entries()
	last := entries[len(entries)-1]
	if last.Action != audit.SignedIn || last.Actor != string(p.ID) || last.Address != "192.0.2.1" {
		t.Errorf("last entry %+v, want the sign-in", last)
	}
}

func TestSignInPausesAfterAFewTries(t *testing.T) {
	p := newPortal(t)
	spellings := []string{"anna", "ANNA", "corp\\anna", " Anna@Corp.example ", "anna@corp.example"}
	for i, login := range spellings[:signin.DefaultTries] {
		_, err := p.SignIn.Authenticate(t.Context(), login, "wrong", portal.Actor{})
		var wrong *signin.Wrong
		if !errors.As(err, &wrong) || !errors.Is(err, portal.ErrCredentials) {
			t.Fatalf("try %d: %v, want it wrong", i+1, err)
		}
		if got, want := *wrong, (signin.Wrong{Left: signin.DefaultTries - 1 - i, Pause: signin.DefaultWindow}); got != want {
			t.Errorf("try %d: %+v, want %+v", i+1, got, want)
		}
	}
	_, err := p.SignIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{})
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != portal.PausedSignIn || !refusal.Until.After(p.Clock.Now()) {
		t.Fatalf("one try more: %v, want a pause", err)
	}
	p.Clock.Advance(signin.DefaultWindow + time.Second)
	if _, err := p.SignIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{}); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestSignInRefusesTheDisabledOnlyWithTheRightPassword(t *testing.T) {
	p := newPortal(t)
	if err := p.People.SetDisabled(t.Context(), "anna", true, audit.Entry{At: p.Clock.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SignIn.Authenticate(t.Context(), "anna", "wrong", portal.Actor{}); !errors.Is(err, portal.ErrCredentials) {
		t.Errorf("wrong password: %v, want it to be like any wrong password", err)
	}
	_, err := p.SignIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{})
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != portal.Disabled {
		t.Errorf("right password: %v, want it refused as disabled", err)
	}
}

func TestA8_OneNetworkHasItsOwnLimit(t *testing.T) {
	p := newPortal(t)
	signIn := testkit.Must(signin.New(signin.Config{
		Directory: p.People, Store: p.DB, NeverLocks: true, AddressTries: 4, Now: p.Clock.Now,
	}))(t)
	// One password on many names, from addresses of one customer's network.
	for i := range 4 {
		by := portal.Actor{Address: fmt.Sprintf("2001:db8:1:2::%x", i)}
		if _, err := signIn.Authenticate(t.Context(), fmt.Sprint("nobody", i), "Spring2026!", by); !errors.Is(err, portal.ErrCredentials) {
			t.Fatalf("try %d: %v, want it wrong", i+1, err)
		}
	}
	_, err := signIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{Address: "2001:db8:1:2::ffff"})
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != portal.PausedAddress || !refusal.Until.After(p.Clock.Now()) {
		t.Errorf("from the same network: %v, want a pause", err)
	}
	for range 10 { // right passwords do not count
		if _, err := signIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{Address: "2001:db8:1:3::1"}); err != nil {
			t.Fatalf("from another network: %v", err)
		}
	}
}

func TestA8_StaysBelowTheDirectorysLock(t *testing.T) {
	tests := []struct {
		name      string
		threshold int
		want      int // of a stranger; the others are the person's own browsers' and sessions'
	}{
		{"no lock", 0, signin.DefaultTries},
		{"far away", 10, signin.DefaultTries},
		{"at the limit", signin.DefaultTries, 1},
		{"hair trigger", 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t)
			if got := p.SignIn.StayBelow(tt.threshold, time.Hour); got != tt.want {
				t.Errorf("StayBelow(%d) = %d, want %d", tt.threshold, got, tt.want)
			}
			asked := 0
			for range 2 * signin.DefaultTries {
				_, err := p.SignIn.Authenticate(t.Context(), "anna", "wrong", portal.Actor{})
				if errors.Is(err, portal.ErrCredentials) {
					asked++
				}
			}
			if asked != tt.want {
				t.Errorf("%d passwords were judged, want %d", asked, tt.want)
			}
			// A window as long as the directory's own.
			p.Clock.Advance(signin.DefaultWindow + time.Minute)
			_, err := p.SignIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{})
			if paused := err != nil; paused != (tt.threshold > 0) {
				t.Errorf("after %v: %v", signin.DefaultWindow, err)
			}
		})
	}
}

// counting counts who asks the directory for a password.
type counting struct {
	portal.Directory
	asked atomic.Int32
	err   error
}

func (c *counting) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	c.asked.Add(1)
	if c.err != nil {
		return portal.Person{}, c.err
	}
	return c.Directory.Authenticate(ctx, login, fixture.Password)
}

func (p *testPortal) signInOver(dir portal.Directory) *signin.Service {
	p.T.Helper()
	s, err := signin.New(signin.Config{Directory: dir, Store: p.DB, NeverLocks: true, Now: p.Clock.Now})
	if err != nil {
		p.T.Fatal(err)
	}
	return s
}

func TestA6_EmptyPasswordsReachNoDirectory(t *testing.T) {
	p := newPortal(t)
	dir := &counting{Directory: p.People}
	signIn := p.signInOver(dir)
	for _, c := range [][2]string{{"anna", ""}, {"bob", " \t"}, {"", "password"}, {"carl", strings.Repeat("x", 2000)}, {strings.Repeat("x", 2000), "y"}} {
		if _, err := signIn.Authenticate(t.Context(), c[0], c[1], portal.Actor{}); !errors.Is(err, portal.ErrCredentials) {
			t.Errorf("%.10q with %.10q: %v, want it wrong", c[0], c[1], err)
		}
	}
	if got := dir.asked.Load(); got != 0 {
		t.Errorf("the directory was asked %d times, want 0", got)
	}
}

func TestF7_AnOutageIsNotAWrongPassword(t *testing.T) {
	p := newPortal(t)
	down := p.signInOver(&counting{Directory: p.People, err: io.ErrUnexpectedEOF})
	for range 3 * signin.DefaultTries {
		_, err := down.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{})
		var outage *portal.Outage
		if !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
			t.Fatalf("Authenticate: %v, want an outage of the directory", err)
		}
	}
	if _, err := p.SignIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{}); err != nil {
		t.Errorf("once the directory is back: %v", err)
	}
}

func TestF7_SlowAnswersGiveNoTriesForNothing(t *testing.T) {
	p := newPortal(t)
	slow := &counting{Directory: p.People, err: fmt.Errorf("binding: %w", portal.ErrUnanswered)}
	signIn := p.signInOver(slow)
	for range 3 * signin.DefaultTries {
		if _, err := signIn.Authenticate(t.Context(), "anna", "guess", portal.Actor{}); err == nil {
			t.Fatal("signed in without an answer")
		}
	}
	if got, want := slow.asked.Load(), int32(signin.DefaultTries); got != want {
		t.Errorf("%d passwords went out, want %d", got, want)
	}
}

// leaving hangs up while the directory looks at a password.
type leaving struct {
	portal.Directory
	leave context.CancelFunc
	err   error
}

func (l *leaving) Authenticate(context.Context, string, string) (portal.Person, error) {
	l.leave()
	return portal.Person{}, l.err
}

// TestA8_HangingUpHidesNoGuess breaks the request off under way: a wrong password
// is in the audit log all the same, and what the directory did not judge is not
// counted.
func TestA8_HangingUpHidesNoGuess(t *testing.T) {
	for name, answer := range map[string]error{"wrong": portal.ErrCredentials, "not judged": context.Canceled} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t)
			ctx, leave := context.WithCancel(t.Context())
			signIn := p.signInOver(&leaving{p.People, leave, answer})
			if _, err := signIn.Authenticate(ctx, "anna", "guess", portal.Actor{Address: "192.0.2.1"}); err == nil {
				t.Fatal("signed in")
			}
			judged := 0
			if answer == portal.ErrCredentials {
				judged = 1
			}
			if got := fixture.Count(p.Entries(), audit.SignInRefused); got != judged {
				t.Errorf("%d refusals in the audit log, want %d", got, judged)
			}
			_, err := p.SignIn.Authenticate(t.Context(), "anna", "guess", portal.Actor{})
			var wrong *signin.Wrong
			if want := signin.DefaultTries - 1 - judged; !errors.As(err, &wrong) || wrong.Left != want {
				t.Errorf("next try: %v, want %d left", err, want)
			}
		})
	}
}

func TestAssert(t *testing.T) {
	h := newPortal(t)
	bob := h.Add("bob", "S-1-5-21-1004336348-1177238915-682003330-1102")
	if err := h.People.SetDisabled(t.Context(), "bob", true, audit.Entry{At: h.Clock.Now()}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		claim portal.Claim
		want  portal.PersonID
		no    portal.Reason
	}{
		{"by SID", portal.Claim{SID: h.anna.SID}, h.anna.ID, ""},
		{"by UPN in other case", portal.Claim{UPN: "ANNA@corp.example"}, h.anna.ID, ""},
		{"by both", portal.Claim{SID: h.anna.SID, UPN: h.anna.UPN}, h.anna.ID, ""},
		{"of two people", portal.Claim{SID: h.anna.SID, UPN: bob.UPN}, "", portal.UnknownPerson},
		{"of nobody", portal.Claim{UPN: "eve@elsewhere.example"}, "", portal.UnknownPerson},
		{"empty", portal.Claim{}, "", portal.UnknownPerson},
		{"disabled", portal.Claim{UPN: bob.UPN}, "", portal.Disabled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := h.SignIn.Assert(t.Context(), tt.claim, portal.Actor{Address: "192.0.2.1"})
			var refusal *portal.Refusal
			if tt.no != "" && (!errors.As(err, &refusal) || refusal.Reason != tt.no) || tt.no == "" && err != nil {
				t.Fatalf("Assert: %v, want %q", err, tt.no)
			}
			if p.ID != tt.want {
				t.Errorf("let in %q, want %q", p.ID, tt.want)
			}
			entries := h.Entries()
			last := entries[len(entries)-1]
			if tt.no == "" && (last.Action != audit.SignedIn || last.Detail["method"] != "openid") ||
				tt.no != "" && (last.Action != audit.SignInRefused || last.Detail["reason"] != string(tt.no)) {
				t.Errorf("last entry %+v", last)
			}
		})
	}
}

// loose takes every claim for one person.
type loose struct {
	portal.Directory
	person portal.Person
}

func (l loose) Match(context.Context, portal.Claim) (portal.Person, error) { return l.person, nil }

// TestA5_ClaimsCountToTheLetter has a directory that finds a person for names
// that are not theirs.
func TestA5_ClaimsCountToTheLetter(t *testing.T) {
	p := newPortal(t)
	hans := portal.Person{ID: "1", UPN: "hans.Weiss-kühn@corp.example", SID: "S-1-5-21-1-2-3-1104"}
	signIn := p.signInOver(loose{p.People, hans})
	tests := []struct {
		name  string
		claim portal.Claim
		in    bool
	}{
		{"as it is", portal.Claim{UPN: hans.UPN}, true},
		{"other case", portal.Claim{UPN: "HANS.WEISS-KÜHN@corp.EXAMPLE"}, true},
		{"by SID", portal.Claim{SID: hans.SID}, true},
		{"long s", portal.Claim{UPN: "han\u017f.weiss-kühn@corp.example"}, false},
		{"sharp s", portal.Claim{UPN: "hans.wei\u00df-kühn@corp.example"}, false},
		{"Kelvin sign", portal.Claim{UPN: "hans.weiss-\u212aühn@corp.example"}, false},
		{"no accent", portal.Claim{UPN: "hans.weiss-kuhn@corp.example"}, false},
		{"somebody else", portal.Claim{UPN: "eve@corp.example"}, false},
		{"SID of somebody else", portal.Claim{UPN: hans.UPN, SID: hans.SID + "1"}, false},
		{"nothing", portal.Claim{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := signIn.Assert(t.Context(), tt.claim, portal.Actor{})
			var refusal *portal.Refusal
			if unknown := errors.As(err, &refusal) && refusal.Reason == portal.UnknownPerson; tt.in != (err == nil) || !tt.in && !unknown {
				t.Errorf("got %v, want it let in: %v", err, tt.in)
			}
		})
	}
}

func TestA7_HostileNamesAreWrongNames(t *testing.T) {
	p := newPortal(t)
	for _, login := range []string{
		"*", "*)(objectClass=*", "a)(|(cn=*", "anna\x00", `\2a`, "+ACo-", "\xc0\xaa", "anna' OR '1'='1", "anna; DROP TABLE accounts",
	} {
		if _, err := p.SignIn.Authenticate(t.Context(), login, fixture.Password, portal.Actor{}); !errors.Is(err, portal.ErrCredentials) {
			t.Errorf("%q: %v, want it wrong", login, err)
		}
	}
}

func TestTypedNamesAreNotKept(t *testing.T) {
	p := newPortal(t)
	const typed = "hunter2-my-password"
	if _, err := p.SignIn.Authenticate(t.Context(), typed, "x", portal.Actor{}); !errors.Is(err, portal.ErrCredentials) {
		t.Fatal(err)
	}
	for _, e := range p.Entries() {
		for _, v := range e.Detail {
			if strings.Contains(v, typed) || strings.Contains(e.Actor, typed) {
				t.Errorf("entry %d keeps what was typed as a name", e.Seq)
			}
		}
	}
}

// TestA8_GuessIsNoActOfItsVictim: the audit log names a person as the actor of a refused
// sign-in only where they proved to be that person.
func TestA8_GuessIsNoActOfItsVictim(t *testing.T) {
	p := newPortal(t)
	refused := func(doing, password string, by portal.Actor, actor, person portal.PersonID) {
		t.Helper()
		if _, err := p.SignIn.Authenticate(t.Context(), "anna", password, by); err == nil {
			t.Fatalf("%s: signed in", doing)
		}
		all := p.Entries()
		if last := all[len(all)-1]; last.Action != audit.SignInRefused || last.Actor != string(actor) || last.Person != string(person) {
			t.Errorf("%s: got %s by %q about %q, want by %q about %q", doing, last.Action, last.Actor, last.Person, actor, person)
		}
	}
	anna := p.anna.ID
	refused("a stranger's guess", "wrong", portal.Actor{Address: "192.0.2.66"}, "", anna)
	refused("a wrong password in her own session", "wrong", portal.Actor{Person: anna}, anna, anna)
	testkit.NoError(t, p.People.SetDisabled(t.Context(), "anna", true, audit.Entry{At: p.Clock.Now()}))
	refused("the right password of a closed account", fixture.Password, portal.Actor{Address: "192.0.2.66"}, anna, anna)
}
