package signin_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const lockWindow = 30 * time.Minute

// locking counts wrong passwords as Active Directory does (badPwdCount): from zero again
// after a window without one, or after a right password. It answers late.
type locking struct {
	portal.Directory
	now   func() time.Time
	rand  *rand.Rand
	count int
	most  int
	last  time.Time
}

func (l *locking) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	if password == fixture.Password {
		l.count = 0
		return l.Directory.Authenticate(ctx, login, password)
	}
	at := l.now().Add(time.Duration(l.rand.Int64N(int64(signin.DefaultTimeout))))
	if at.Sub(l.last) >= lockWindow {
		l.count = 0
	}
	l.last = at
	l.count++
	l.most = max(l.most, l.count)
	return portal.Person{}, portal.ErrCredentials
}

func (p *testPortal) signInTo(l *locking) *signin.Service {
	l.Directory, l.now = p.People, p.Clock.Now
	return p.NewSignIn(func(c *signin.Config) { c.Directory, c.NeverLocks = l, false })
}

// TestA8_TriesOverTimeStayBelowTheLock has a stranger, browsers and sessions of one
// person, and a thief of a cookie try passwords in random order, at random times, and
// also when the domain's threshold was read only after the first tries.
func TestA8_TriesOverTimeStayBelowTheLock(t *testing.T) {
	p := newPortal(t)
	waits := []time.Duration{0, 0, 0, time.Second, lockWindow / 3, lockWindow / 2, lockWindow - time.Second, lockWindow, lockWindow + 3*time.Second, 2 * lockWindow}
	for threshold := 2; threshold <= 12; threshold++ {
		reached := 0
		for seed := range uint64(4) {
			draw := rand.New(rand.NewPCG(seed, uint64(threshold)))
			dir := &locking{rand: draw}
			signIn := p.signInTo(dir)
			cookies := []string{signIn.KnowBrowser("", p.anna.ID), signIn.KnowBrowser("", p.anna.ID)}
			known := threshold < signin.DefaultTries+1
			if known {
				signIn.StayBelow(threshold, lockWindow)
			}
			for range 40 {
				p.Clock.Advance(waits[draw.IntN(len(waits))])
				by := []portal.Actor{
					{}, {}, {Browser: cookies[0]}, {Browser: cookies[1]},
					{Person: p.anna.ID, Session: [32]byte{1, byte(seed), byte(threshold)}},
					{Person: p.anna.ID, Session: [32]byte{2, byte(seed), byte(threshold)}, Browser: cookies[0]},
				}[draw.IntN(6)]
				password := "wrong"
				if draw.IntN(12) == 0 {
					password = fixture.Password
				}
				_, err := signIn.Authenticate(t.Context(), "anna", password, by)
				var refusal *portal.Refusal
				if err != nil && !errors.Is(err, portal.ErrCredentials) && !errors.As(err, &refusal) {
					t.Fatal(err)
				}
				if !known && draw.IntN(4) == 0 {
					known = true
					signIn.StayBelow(threshold, lockWindow)
				}
			}
			if dir.most >= threshold {
				t.Errorf("threshold %d, seed %d: the directory counts %d", threshold, seed, dir.most)
			}
			reached = max(reached, dir.most)
			p.Clock.Advance(3 * lockWindow)
		}
		if want := min(threshold-1, 3); reached < want {
			t.Errorf("threshold %d: %d tries at most, want at least %d in some order", threshold, reached, want)
		}
	}
}

// TestA8_StrangersWaitForTheDirectory tries around the end of the strangers' own window,
// while the directory still counts a mistake of the owner: strangers get nothing that
// is the owner's, and the owner's browser and session have theirs.
func TestA8_StrangersWaitForTheDirectory(t *testing.T) {
	p := newPortal(t)
	dir := &locking{rand: rand.New(rand.NewPCG(1, 1))}
	signIn := p.signInTo(dir)
	signIn.StayBelow(5, lockWindow)
	browser := portal.Actor{Browser: signIn.KnowBrowser("", p.anna.ID)}
	session := portal.Actor{Person: p.anna.ID, Session: [32]byte{1}}
	wrong := func(by portal.Actor) bool {
		_, err := signIn.Authenticate(t.Context(), "anna", "wrong", by)
		return errors.Is(err, portal.ErrCredentials)
	}
	got := []bool{wrong(portal.Actor{}), wrong(portal.Actor{}), wrong(portal.Actor{})}
	p.Clock.Advance(lockWindow / 2)
	got = append(got, wrong(browser))
	p.Clock.Advance(lockWindow/2 + time.Minute)
	got = append(got, wrong(portal.Actor{}), wrong(session), wrong(portal.Actor{}), wrong(browser))
	testkit.Equal(t, "judged", fmt.Sprint(got), "[true true false true false true false false]")
	testkit.Equal(t, "counted by the directory", dir.count, 4)
	p.Clock.Advance(lockWindow + time.Minute)
	testkit.Equal(t, "after a window without a try", [2]bool{wrong(browser), wrong(portal.Actor{})}, [2]bool{true, true})
	// A right password frees what it was counted against, in the directory and here.
	if _, err := signIn.Authenticate(t.Context(), "anna", fixture.Password, session); err != nil {
		t.Fatal(err)
	}
	testkit.Equal(t, "after a right password", wrong(session), true)
}

// TestA8_UnreadPolicyIsAssumedStrict uses up every budget before any policy was read.
func TestA8_UnreadPolicyIsAssumedStrict(t *testing.T) {
	p := newPortal(t)
	for tries, want := range map[int]int{1: 1, 3: 3, 20: 3} {
		dir := &locking{Directory: p.People, now: p.Clock.Now, rand: rand.New(rand.NewPCG(1, 1))}
		signIn := p.NewSignIn(func(c *signin.Config) { c.Directory, c.NeverLocks, c.Tries = dir, false, tries })
		for n := range 3 {
			browser := signIn.KnowBrowser("", p.anna.ID)
			guess(t, signIn, "anna", portal.Actor{Person: p.anna.ID, Session: [32]byte{byte(tries), byte(n)}})
			guess(t, signIn, "anna", portal.Actor{Browser: browser})
			guess(t, signIn, "anna", portal.Actor{})
		}
		if dir.most != want {
			t.Errorf("%d tries of the setting: the directory counts %d, want %d", tries, dir.most, want)
		}
		p.Clock.Advance(3 * lockWindow)
	}
}
