package enroll_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/enroll"
	"certportal/ledger"
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
	if last.Action != ledger.SignedIn || last.Actor != string(p.ID) || last.Address != "192.0.2.1" {
		t.Errorf("last entry %+v, want the sign-in", last)
	}
}

func TestSignInPausesAfterFiveTries(t *testing.T) {
	h := newHouse(t)
	spellings := []string{"anna", "ANNA", "corp\\anna", " Anna@Corp.example ", "anna@corp.example"}
	for i, login := range spellings {
		_, err := h.signIn.Authenticate(t.Context(), login, "wrong", enroll.By{})
		var wrong *enroll.Wrong
		if !errors.As(err, &wrong) || !errors.Is(err, enroll.ErrCredentials) {
			t.Fatalf("try %d: %v, want it wrong", i+1, err)
		}
		if got, want := wrong.Left, enroll.SignInTries-1-i; got != want {
			t.Errorf("try %d: %d left, want %d", i+1, got, want)
		}
	}
	_, err := h.signIn.Authenticate(t.Context(), "anna", password, enroll.By{})
	var refusal *enroll.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != enroll.PausedSignIn || !refusal.Until.After(h.now()) {
		t.Fatalf("sixth try: %v, want a pause", err)
	}
	h.pass(enroll.SignInWindow + time.Second)
	if _, err := h.signIn.Authenticate(t.Context(), "anna", password, enroll.By{}); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestSignInRefusesTheDisabledOnlyWithTheRightPassword(t *testing.T) {
	h := newHouse(t)
	if err := h.people.SetDisabled(t.Context(), "anna", true, ledger.Entry{At: h.now()}); err != nil {
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
