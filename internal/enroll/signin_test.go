package enroll_test

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
	"certportal/internal/enroll"
)

func TestSignIn(t *testing.T) {
	h := newHouse(t)
	p, err := h.signIn.Authenticate(t.Context(), " CORP\\Anna ", password, enroll.By{Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.ID, h.anna.ID; got != want {
		t.Errorf("signed in %q, want %q", got, want)
	}
	entries := h.checkLedger()
	last := entries[len(entries)-1]
	if last.Action != audit.SignedIn || last.Actor != string(p.ID) || last.Address != "192.0.2.1" {
		t.Errorf("last entry %+v, want the sign-in", last)
	}
}

func TestSignInPausesAfterAFewTries(t *testing.T) {
	h := newHouse(t)
	spellings := []string{"anna", "ANNA", "corp\\anna", " Anna@Corp.example ", "anna@corp.example"}
	for i, login := range spellings[:enroll.SignInTries] {
		_, err := h.signIn.Authenticate(t.Context(), login, "wrong", enroll.By{})
		var wrong *enroll.Wrong
		if !errors.As(err, &wrong) || !errors.Is(err, enroll.ErrCredentials) {
			t.Fatalf("try %d: %v, want it wrong", i+1, err)
		}
		if got, want := *wrong, (enroll.Wrong{Left: enroll.SignInTries - 1 - i, Pause: enroll.SignInWindow}); got != want {
			t.Errorf("try %d: %+v, want %+v", i+1, got, want)
		}
	}
	_, err := h.signIn.Authenticate(t.Context(), "anna", password, enroll.By{})
	var refusal *enroll.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != enroll.PausedSignIn || !refusal.Until.After(h.now()) {
		t.Fatalf("one try more: %v, want a pause", err)
	}
	h.pass(enroll.SignInWindow + time.Second)
	if _, err := h.signIn.Authenticate(t.Context(), "anna", password, enroll.By{}); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestSignInRefusesTheDisabledOnlyWithTheRightPassword(t *testing.T) {
	h := newHouse(t)
	if err := h.people.SetDisabled(t.Context(), "anna", true, audit.Entry{At: h.now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.signIn.Authenticate(t.Context(), "anna", "wrong", enroll.By{}); !errors.Is(err, enroll.ErrCredentials) {
		t.Errorf("wrong password: %v, want it to be like any wrong password", err)
	}
	_, err := h.signIn.Authenticate(t.Context(), "anna", password, enroll.By{})
	var refusal *enroll.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != enroll.Disabled {
		t.Errorf("right password: %v, want it refused as disabled", err)
	}
}

func TestA8_OneNetworkHasItsOwnLimit(t *testing.T) {
	h := newHouse(t)
	signIn := must[*enroll.SignIn](t)(enroll.NewSignIn(enroll.SignInConfig{
		Directory: h.people, Attempts: h.db, Records: h.db, AddressTries: 4, Now: h.now,
	}))
	// One password on many names, from addresses of one customer's network.
	for i := range 4 {
		by := enroll.By{Address: fmt.Sprintf("2001:db8:1:2::%x", i)}
		if _, err := signIn.Authenticate(t.Context(), fmt.Sprint("nobody", i), "Spring2026!", by); !errors.Is(err, enroll.ErrCredentials) {
			t.Fatalf("try %d: %v, want it wrong", i+1, err)
		}
	}
	_, err := signIn.Authenticate(t.Context(), "anna", password, enroll.By{Address: "2001:db8:1:2::ffff"})
	var refusal *enroll.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != enroll.PausedAddress || !refusal.Until.After(h.now()) {
		t.Errorf("from the same network: %v, want a pause", err)
	}
	for range 10 { // right passwords do not count
		if _, err := signIn.Authenticate(t.Context(), "anna", password, enroll.By{Address: "2001:db8:1:3::1"}); err != nil {
			t.Fatalf("from another network: %v", err)
		}
	}
}

func TestA8_StaysBelowTheDirectorysLock(t *testing.T) {
	tests := []struct {
		name      string
		threshold int
		want      int
	}{
		{"no lock", 0, enroll.SignInTries},
		{"far away", 10, enroll.SignInTries},
		{"at the limit", enroll.SignInTries, enroll.SignInTries - 1},
		{"hair trigger", 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			if got := h.signIn.StayBelow(tt.threshold, time.Hour); got != tt.want {
				t.Errorf("StayBelow(%d) = %d, want %d", tt.threshold, got, tt.want)
			}
			asked := 0
			for range 2 * enroll.SignInTries {
				_, err := h.signIn.Authenticate(t.Context(), "anna", "wrong", enroll.By{})
				if errors.Is(err, enroll.ErrCredentials) {
					asked++
				}
			}
			if asked != tt.want {
				t.Errorf("%d passwords were judged, want %d", asked, tt.want)
			}
			// A window as long as the directory's own.
			h.pass(enroll.SignInWindow + time.Minute)
			_, err := h.signIn.Authenticate(t.Context(), "anna", password, enroll.By{})
			if paused := err != nil; paused != (tt.threshold > 0) {
				t.Errorf("after %v: %v", enroll.SignInWindow, err)
			}
		})
	}
}

// counting counts who asks the directory for a password.
type counting struct {
	enroll.Directory
	asked atomic.Int32
	err   error
}

func (c *counting) Authenticate(ctx context.Context, login, password string) (enroll.Person, error) {
	c.asked.Add(1)
	if c.err != nil {
		return enroll.Person{}, c.err
	}
	return c.Directory.Authenticate(ctx, login, password)
}

func (h *house) signInOver(dir enroll.Directory) *enroll.SignIn {
	h.t.Helper()
	s, err := enroll.NewSignIn(enroll.SignInConfig{Directory: dir, Attempts: h.db, Records: h.db, Now: h.now})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func TestA6_EmptyPasswordsReachNoDirectory(t *testing.T) {
	h := newHouse(t)
	dir := &counting{Directory: h.people}
	signIn := h.signInOver(dir)
	for _, c := range [][2]string{{"anna", ""}, {"bob", " \t"}, {"", "password"}, {"carl", strings.Repeat("x", 2000)}, {strings.Repeat("x", 2000), "y"}} {
		if _, err := signIn.Authenticate(t.Context(), c[0], c[1], enroll.By{}); !errors.Is(err, enroll.ErrCredentials) {
			t.Errorf("%.10q with %.10q: %v, want it wrong", c[0], c[1], err)
		}
	}
	if got := dir.asked.Load(); got != 0 {
		t.Errorf("the directory was asked %d times, want 0", got)
	}
}

func TestF7_AnOutageIsNotAWrongPassword(t *testing.T) {
	h := newHouse(t)
	down := h.signInOver(&counting{Directory: h.people, err: io.ErrUnexpectedEOF})
	for range 3 * enroll.SignInTries {
		_, err := down.Authenticate(t.Context(), "anna", password, enroll.By{})
		var outage *enroll.Outage
		if !errors.As(err, &outage) || outage.Part != enroll.PartDirectory {
			t.Fatalf("Authenticate: %v, want an outage of the directory", err)
		}
	}
	if _, err := h.signIn.Authenticate(t.Context(), "anna", password, enroll.By{}); err != nil {
		t.Errorf("once the directory is back: %v", err)
	}
}

func TestF7_SlowAnswersGiveNoTriesForNothing(t *testing.T) {
	h := newHouse(t)
	slow := &counting{Directory: h.people, err: fmt.Errorf("binding: %w", enroll.ErrUnanswered)}
	signIn := h.signInOver(slow)
	for range 3 * enroll.SignInTries {
		if _, err := signIn.Authenticate(t.Context(), "anna", "guess", enroll.By{}); err == nil {
			t.Fatal("signed in without an answer")
		}
	}
	if got, want := slow.asked.Load(), int32(enroll.SignInTries); got != want {
		t.Errorf("%d passwords went out, want %d", got, want)
	}
}

// leaving hangs up while the directory looks at a password.
type leaving struct {
	enroll.Directory
	leave context.CancelFunc
	err   error
}

func (l *leaving) Authenticate(context.Context, string, string) (enroll.Person, error) {
	l.leave()
	return enroll.Person{}, l.err
}

// TestA8_HangingUpHidesNoGuess breaks the request off under way: a wrong password
// is in the ledger all the same, and what the directory did not judge is not
// counted.
func TestA8_HangingUpHidesNoGuess(t *testing.T) {
	for name, answer := range map[string]error{"wrong": enroll.ErrCredentials, "not judged": context.Canceled} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			ctx, leave := context.WithCancel(t.Context())
			signIn := h.signInOver(&leaving{h.people, leave, answer})
			if _, err := signIn.Authenticate(ctx, "anna", "guess", enroll.By{Address: "192.0.2.1"}); err == nil {
				t.Fatal("signed in")
			}
			judged := 0
			if answer == enroll.ErrCredentials {
				judged = 1
			}
			if got := count(h.checkLedger(), audit.SignInRefused); got != judged {
				t.Errorf("%d refusals in the ledger, want %d", got, judged)
			}
			_, err := h.signIn.Authenticate(t.Context(), "anna", "guess", enroll.By{})
			var wrong *enroll.Wrong
			if want := enroll.SignInTries - 1 - judged; !errors.As(err, &wrong) || wrong.Left != want {
				t.Errorf("next try: %v, want %d left", err, want)
			}
		})
	}
}

func TestAssert(t *testing.T) {
	h := newHouse(t)
	bob := h.add("bob", "S-1-5-21-1004336348-1177238915-682003330-1102")
	if err := h.people.SetDisabled(t.Context(), "bob", true, audit.Entry{At: h.now()}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		claim enroll.Claim
		want  enroll.PersonID
		no    enroll.Reason
	}{
		{"by SID", enroll.Claim{SID: h.anna.SID}, h.anna.ID, ""},
		{"by UPN in other case", enroll.Claim{UPN: "ANNA@corp.example"}, h.anna.ID, ""},
		{"by both", enroll.Claim{SID: h.anna.SID, UPN: h.anna.UPN}, h.anna.ID, ""},
		{"of two people", enroll.Claim{SID: h.anna.SID, UPN: bob.UPN}, "", enroll.UnknownPerson},
		{"of nobody", enroll.Claim{UPN: "eve@elsewhere.example"}, "", enroll.UnknownPerson},
		{"empty", enroll.Claim{}, "", enroll.UnknownPerson},
		{"disabled", enroll.Claim{UPN: bob.UPN}, "", enroll.Disabled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := h.signIn.Assert(t.Context(), tt.claim, enroll.By{Address: "192.0.2.1"})
			var refusal *enroll.Refusal
			if tt.no != "" && (!errors.As(err, &refusal) || refusal.Reason != tt.no) || tt.no == "" && err != nil {
				t.Fatalf("Assert: %v, want %q", err, tt.no)
			}
			if p.ID != tt.want {
				t.Errorf("let in %q, want %q", p.ID, tt.want)
			}
			entries := h.checkLedger()
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
	enroll.Directory
	person enroll.Person
}

func (l loose) Match(context.Context, enroll.Claim) (enroll.Person, error) { return l.person, nil }

// TestA5_ClaimsCountToTheLetter has a directory that finds somebody for names
// that are not theirs.
func TestA5_ClaimsCountToTheLetter(t *testing.T) {
	h := newHouse(t)
	hans := enroll.Person{ID: "1", UPN: "hans.Weiss-kühn@corp.example", SID: "S-1-5-21-1-2-3-1104"}
	signIn := h.signInOver(loose{h.people, hans})
	tests := []struct {
		name  string
		claim enroll.Claim
		in    bool
	}{
		{"as it is", enroll.Claim{UPN: hans.UPN}, true},
		{"other case", enroll.Claim{UPN: "HANS.WEISS-KÜHN@corp.EXAMPLE"}, true},
		{"by SID", enroll.Claim{SID: hans.SID}, true},
		{"long s", enroll.Claim{UPN: "han\u017f.weiss-kühn@corp.example"}, false},
		{"sharp s", enroll.Claim{UPN: "hans.wei\u00df-kühn@corp.example"}, false},
		{"Kelvin sign", enroll.Claim{UPN: "hans.weiss-\u212aühn@corp.example"}, false},
		{"no accent", enroll.Claim{UPN: "hans.weiss-kuhn@corp.example"}, false},
		{"somebody else", enroll.Claim{UPN: "eve@corp.example"}, false},
		{"SID of somebody else", enroll.Claim{UPN: hans.UPN, SID: hans.SID + "1"}, false},
		{"nothing", enroll.Claim{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := signIn.Assert(t.Context(), tt.claim, enroll.By{})
			var refusal *enroll.Refusal
			if unknown := errors.As(err, &refusal) && refusal.Reason == enroll.UnknownPerson; tt.in != (err == nil) || !tt.in && !unknown {
				t.Errorf("got %v, want it let in: %v", err, tt.in)
			}
		})
	}
}

func TestA7_HostileNamesAreWrongNames(t *testing.T) {
	h := newHouse(t)
	for _, login := range []string{
		"*", "*)(objectClass=*", "a)(|(cn=*", "anna\x00", `\2a`, "+ACo-", "\xc0\xaa", "anna' OR '1'='1", "anna; DROP TABLE accounts",
	} {
		if _, err := h.signIn.Authenticate(t.Context(), login, password, enroll.By{}); !errors.Is(err, enroll.ErrCredentials) {
			t.Errorf("%q: %v, want it wrong", login, err)
		}
	}
}

func TestTypedNamesAreNotKept(t *testing.T) {
	h := newHouse(t)
	const typed = "hunter2-my-password"
	if _, err := h.signIn.Authenticate(t.Context(), typed, "x", enroll.By{}); !errors.Is(err, enroll.ErrCredentials) {
		t.Fatal(err)
	}
	for _, e := range h.checkLedger() {
		for _, v := range e.Detail {
			if strings.Contains(v, typed) || strings.Contains(e.Actor, typed) {
				t.Errorf("entry %d keeps what was typed as a name", e.Seq)
			}
		}
	}
}
