package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
)

// counted counts the passwords sent to a directory.
type counted struct {
	portal.Directory
	asked atomic.Int32
}

func (c *counted) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	c.asked.Add(1)
	return c.Directory.Authenticate(ctx, login, password)
}

// counting returns a sign-in service with a counting directory.
func (fx *fixture) counting(c signin.Config) (*signin.Service, *counted) {
	fx.t.Helper()
	people := &counted{Directory: fx.people}
	c.Directory, c.Store, c.Now, c.NeverLocks = people, fx.db, fx.now, true // until StayBelow
	return testkit.Must(signin.New(c))(fx.t), people
}

// thirtySpellings returns accepted spellings of anna's login name.
func thirtySpellings() []string {
	spellings := annaSpellings()
	for i := range 30 - len(spellings) {
		name := []byte("anna.schmidt@example.test")
		name[i] = strings.ToUpper(string(name[i]))[0]
		spellings = append(spellings, string(name)+strings.Repeat(" ", i%3))
	}
	return spellings
}

// from returns an actor in a network of its own, so that only the limit per account applies.
func from(i int) portal.Actor {
	return portal.Actor{Address: fmt.Sprintf("10.%d.%d.1", i/250, i%250), Request: "test"}
}

// TestA8_GuessingStopsBeforeTheLock tries 500 passwords on one account in thirty spellings.
// Too few of them reach the controller to lock the account.
func TestA8_GuessingStopsBeforeTheLock(t *testing.T) {
	t.Parallel()
	const tries = 3
	fx := newFixture(t, suffixes)
	signIn, people := fx.counting(signin.Config{Tries: tries})
	anna := addAnna(t, fx.dc)
	spellings, wrong, paused := thirtySpellings(), 0, 0
	for i := range 500 {
		_, err := signIn.Authenticate(t.Context(), spellings[i%len(spellings)], fmt.Sprint("guess-", i), from(i))
		switch {
		case errors.Is(err, portal.ErrCredentials):
			wrong++
		case refusalOf(err).Reason == portal.PausedSignIn && refusalOf(err).Until.After(fx.now()):
			paused++
		default:
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if wrong != tries || paused != 500-tries {
		t.Errorf("%d wrong and %d paused, want %d and %d", wrong, paused, tries, 500-tries)
	}
	if got := people.asked.Load(); got != tries {
		t.Errorf("%d passwords reached the directory, want %d", got, tries)
	}
	if got := fx.dc.BadPasswords(t, anna.DN); got > tries {
		t.Errorf("controller counts %d wrong passwords, want %d at most", got, tries)
	}
	if got := fx.count(audit.SignedIn); got != 0 {
		t.Errorf("%d sign-ins recorded, want 0", got)
	}
	if err := fx.dc.TryPassword(anna.DN, samba.Password); err != nil {
		t.Errorf("anna at her own desk: %v", err)
	}
	// During the pause the response does not reveal the right password.
	if _, err := signIn.Authenticate(t.Context(), "anna", samba.Password, from(0)); refusalOf(err).Reason != portal.PausedSignIn {
		t.Errorf("right password in the pause: %v, want the pause", err)
	}
	fx.ahead.Add(int64(signin.DefaultWindow + time.Second))
	if p, err := signIn.Authenticate(t.Context(), "anna", samba.Password, from(0)); err != nil || p.ID != idOf(anna) {
		t.Errorf("after the pause: %q, %v, want %q", p.ID, err, anna.GUID)
	}
}

// TestA8_SlowGuessingStopsBeforeTheLock spreads attempts over the portal's window so that the
// controller still adds them up.
func TestA8_SlowGuessingStopsBeforeTheLock(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	signIn, people := fx.counting(signin.Config{})
	anna := fx.dc.AddUser(t, samba.User{Login: "anna"})
	lock := testkit.Must(fx.people.Lockout(t.Context()))(t)
	signIn.StayBelow(lock.Threshold, lock.Window)
	for _, after := range []time.Duration{0, lock.Window - time.Second, 2 * time.Second, 0, 0, lock.Window - time.Second} {
		fx.ahead.Add(int64(after))
		if _, err := signIn.Authenticate(t.Context(), "anna", "guess", from(1)); err == nil {
			t.Fatal("signed in with a guess")
		}
	}
	if got := people.asked.Load(); got >= samba.LockAfter {
		t.Errorf("%d passwords reached the directory, which locks at %d", got, samba.LockAfter)
	}
	if err := fx.dc.TryPassword(anna.DN, samba.Password); err != nil {
		t.Errorf("anna at her own desk: %v", err)
	}
}

// TestA8_AllBudgetsStayBelowTheLock guesses as a stranger, from known browsers and inside
// sessions of one person, until all are paused. The controller counts them together.
func TestA8_AllBudgetsStayBelowTheLock(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	signIn, people := fx.counting(signin.Config{})
	anna := fx.dc.AddUser(t, samba.User{Login: "anna"})
	lock := testkit.Must(fx.people.Lockout(t.Context()))(t)
	signIn.StayBelow(lock.Threshold, lock.Window)
	for n := range 3 {
		stranger, browser, session := from(n), from(n), from(n)
		browser.Browser = signIn.KnowBrowser("", idOf(anna))
		session.Person, session.Session = idOf(anna), [32]byte{byte(n + 1)}
		for _, by := range []portal.Actor{session, browser, stranger} {
			for range samba.LockAfter {
				if _, err := signIn.Authenticate(t.Context(), "anna", "guess", by); err == nil {
					t.Fatal("signed in with a guess")
				}
			}
		}
	}
	if got := people.asked.Load(); got != samba.LockAfter-1 {
		t.Errorf("%d passwords reached the directory, want %d", got, samba.LockAfter-1)
	}
	if got := fx.dc.BadPasswords(t, anna.DN); got >= samba.LockAfter {
		t.Errorf("controller counts %d wrong passwords and locks at %d", got, samba.LockAfter)
	}
	if err := fx.dc.TryPassword(anna.DN, samba.Password); err != nil {
		t.Errorf("anna at her own desk: %v", err)
	}
}

// TestA8_StrangersDoNotPauseTheOwner leaves the person's own browser and session their
// tries, also with the few that this domain allows.
func TestA8_StrangersDoNotPauseTheOwner(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	anna := fx.dc.AddUser(t, samba.User{Login: "anna"})
	lock := testkit.Must(fx.people.Lockout(t.Context()))(t)
	fx.signIn.StayBelow(lock.Threshold, lock.Window)
	for i := range samba.LockAfter {
		fx.signIn.Authenticate(t.Context(), "anna", "guess", from(i))
	}
	if _, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, from(9)); refusalOf(err).Reason != portal.PausedSignIn {
		t.Fatalf("stranger: %v, want a pause", err)
	}
	browser, session := from(10), from(11)
	browser.Browser = fx.signIn.KnowBrowser("", idOf(anna))
	session.Person, session.Session = idOf(anna), [32]byte{1}
	for name, by := range map[string]portal.Actor{"browser": browser, "session": session} {
		if p, err := fx.signIn.Authenticate(t.Context(), "CORP\\anna", samba.Password, by); err != nil || p.ID != idOf(anna) {
			t.Errorf("own %s: %q, %v", name, p.ID, err)
		}
	}
}

// TestA8_RightPasswordIsNoWrongTry gives the right password of accounts that may not
// sign in: neither the controller nor the portal counts it.
func TestA8_RightPasswordIsNoWrongTry(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	for name, change := range map[string]func(testing.TB, string){
		"must-change": fx.dc.MustChange, "run-out": fx.dc.RunOut, "disabled": fx.dc.Disable, "expired": fx.dc.Expire,
	} {
		e := fx.dc.AddUser(t, samba.User{Login: name})
		change(t, e.DN)
		for i := range 3 * samba.LockAfter {
			_, err := fx.signIn.Authenticate(t.Context(), name, samba.Password, from(i))
			if reason := refusalOf(err).Reason; reason == "" || reason == portal.PausedSignIn {
				t.Fatalf("%s, time %d: %v", name, i+1, err)
			}
		}
		if got := fx.dc.BadPasswords(t, e.DN); got != 0 {
			t.Errorf("%s: the controller counts %d wrong passwords", name, got)
		}
	}
}

// TestA8_UnknownNamesPauseLikeKnownOnes checks that responses do not reveal which accounts
// exist.
func TestA8_UnknownNamesPauseLikeKnownOnes(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	fx.dc.AddUser(t, samba.User{Login: "anna"})
	signIn, _ := fx.counting(signin.Config{Tries: 3})
	answers := map[string][]string{}
	for _, name := range []string{"anna", "nobody"} {
		for i, login := range []string{name, "CORP\\" + name, strings.ToUpper(name) + "@corp.example.test", name + "@CORP", " " + name} {
			_, err := signIn.Authenticate(t.Context(), login, "wrong-one", from(i))
			refusal := refusalOf(err)
			refusal.Until = time.Time{}
			answers[name] = append(answers[name], fmt.Sprint(refusal, errors.Is(err, portal.ErrCredentials)))
		}
	}
	if known, unknown := fmt.Sprint(answers["anna"]), fmt.Sprint(answers["nobody"]); known != unknown {
		t.Errorf("answers differ:\nknown   %s\nunknown %s", known, unknown)
	}
}

// TestA8_ALockFromOutsideTellsAStrangerNothing checks that the portal does not report a lock
// that the controller reports for any password.
func TestA8_ALockFromOutsideTellsAStrangerNothing(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	anna := fx.dc.AddUser(t, samba.User{Login: "anna"})
	fx.dc.Lock(t, anna.DN)
	for _, password := range []string{"wrong-one", samba.Password} {
		_, err := fx.signIn.Authenticate(t.Context(), "anna", password, from(1))
		var wrong *signin.Wrong
		if !errors.As(err, &wrong) {
			t.Errorf("password %q: %v, want it wrong", password, err)
		}
	}
	fx.dc.Unlock(t, anna.DN)
	if _, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, from(1)); err != nil {
		t.Errorf("unlocked: %v", err)
	}
}

// TestSambaLockout reads the policy that the portal's own limit must stay below.
func TestSambaLockout(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	got, err := fx.people.Lockout(t.Context())
	want := directory.Lockout{Threshold: samba.LockAfter, Window: 30 * time.Minute}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	fx.dc.Modify(t, samba.Base, map[string][]string{"lockoutThreshold": {"0"}})
	if got, err := fx.people.Lockout(t.Context()); err != nil || got.Threshold != 0 {
		t.Errorf("without a lock: got %+v, %v, want threshold 0", got, err)
	}
}
