package signin_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// guess tries wrong passwords until a pause, and returns how many were judged.
func guess(t *testing.T, s *signin.Service, login string, by portal.Actor) int {
	t.Helper()
	for judged := range 100 {
		_, err := s.Authenticate(t.Context(), login, "wrong", by)
		var refusal *portal.Refusal
		if errors.As(err, &refusal) && refusal.Reason == portal.PausedSignIn {
			return judged
		}
		if !errors.Is(err, portal.ErrCredentials) {
			t.Fatalf("guess %d: %v", judged+1, err)
		}
	}
	t.Fatal("guesses were never paused")
	return 0
}

func (p *testPortal) passes(login string, by portal.Actor) bool {
	p.T.Helper()
	_, err := p.SignIn.Authenticate(p.T.Context(), login, fixture.Password, by)
	var refusal *portal.Refusal
	if err != nil && (!errors.As(err, &refusal) || refusal.Reason != portal.PausedSignIn) {
		p.T.Fatal(err)
	}
	return err == nil
}

// TestA8_StrangersDoNotPauseTheOwner has a stranger use up the tries of an account. Its
// own browser and its own session go on; a browser that shows anything else does not.
func TestA8_StrangersDoNotPauseTheOwner(t *testing.T) {
	p := newPortal(t)
	ben := p.Add("ben", fixture.SIDPrefix+"1102")
	own := p.SignIn.KnowBrowser("", p.anna.ID)
	flipped := strings.Map(func(r rune) rune {
		if r == rune(own[70]) {
			return rune(own[70]) ^ 1
		}
		return r
	}, own)
	if judged := guess(t, p.SignIn, "anna", portal.Actor{Address: "192.0.2.66"}); judged != signin.DefaultTries {
		t.Fatalf("the stranger had %d tries, want %d", judged, signin.DefaultTries)
	}
	tests := []struct {
		name string
		by   portal.Actor
		in   bool
	}{
		{"stranger", portal.Actor{Address: "192.0.2.66"}, false},
		{"own browser", portal.Actor{Browser: own}, true},
		{"own browser beside another person", portal.Actor{Browser: p.SignIn.KnowBrowser(own, ben.ID)}, true},
		{"own session", portal.Actor{Person: p.anna.ID, Session: [32]byte{1}}, true},
		{"browser of another person", portal.Actor{Browser: p.SignIn.KnowBrowser("", ben.ID)}, false},
		{"session of another person", portal.Actor{Person: ben.ID, Session: [32]byte{2}}, false},
		{"no session", portal.Actor{Person: p.anna.ID}, false},
		{"forged cookie", portal.Actor{Browser: flipped}, false},
		{"half a cookie", portal.Actor{Browser: own[:40]}, false},
		{"cookie of another key", portal.Actor{Browser: p.NewSignIn().KnowBrowser("", p.anna.ID)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.passes("ANNA@corp.example", tt.by); got != tt.in {
				t.Errorf("let in: %v, want %v", got, tt.in)
			}
		})
	}
	p.Clock.Advance(signin.KnownLife)
	guess(t, p.SignIn, "anna", portal.Actor{})
	if p.passes("anna", portal.Actor{Browser: own}) {
		t.Error("the cookie works after its life")
	}
}

// TestA8_StolenCookieIsSoonLost guesses with a copy of a cookie. It opens a few tries
// once, and neither pauses the person's other browsers nor comes back with time.
func TestA8_StolenCookieIsSoonLost(t *testing.T) {
	p := newPortal(t)
	stolen, other := p.SignIn.KnowBrowser("", p.anna.ID), p.SignIn.KnowBrowser("", p.anna.ID)
	guess(t, p.SignIn, "anna", portal.Actor{})
	if judged := guess(t, p.SignIn, "anna", portal.Actor{Browser: stolen}); judged != signin.DefaultTries {
		t.Errorf("the thief had %d tries, want %d", judged, signin.DefaultTries)
	}
	if !p.passes("anna", portal.Actor{Browser: other}) {
		t.Error("the other browser is paused")
	}
	for range 5 {
		p.Clock.Advance(24 * time.Hour)
		guess(t, p.SignIn, "anna", portal.Actor{})
		if judged := guess(t, p.SignIn, "anna", portal.Actor{Browser: stolen}); judged != 0 {
			t.Errorf("a day later the thief has %d tries again", judged)
		}
	}
	p.Clock.Advance(24 * time.Hour)
	if !p.passes("anna", portal.Actor{Browser: stolen}) {
		t.Error("with a lost cookie a browser has less than a stranger")
	}
}

func TestA8_SessionHasTriesOfItsOwn(t *testing.T) {
	p := newPortal(t)
	first := portal.Actor{Person: p.anna.ID, Session: [32]byte{1}}
	guess(t, p.SignIn, "anna", portal.Actor{})
	if judged := guess(t, p.SignIn, "anna", first); judged != signin.SessionTries {
		t.Errorf("the session had %d tries, want %d", judged, signin.SessionTries)
	}
	if !p.passes("anna", portal.Actor{Person: p.anna.ID, Session: [32]byte{2}}) {
		t.Error("another session of the person is paused")
	}
	p.Clock.Advance(signin.DefaultWindow + time.Second)
	if !p.passes("anna", first) {
		t.Error("the session is paused for good")
	}
}

// TestA8_SumOfBudgetsStaysBelowTheLock uses up every budget of an account at once.
func TestA8_SumOfBudgetsStaysBelowTheLock(t *testing.T) {
	p := newPortal(t)
	for threshold := 1; threshold <= 24; threshold++ {
		dir := &counting{Directory: p.People, err: portal.ErrCredentials}
		signIn := p.NewSignIn(func(c *signin.Config) { c.Directory = dir })
		signIn.StayBelow(threshold, 30*time.Minute)
		for n := range 5 {
			cookie := signIn.KnowBrowser("", p.anna.ID)
			guess(t, signIn, "anna", portal.Actor{Person: p.anna.ID, Session: [32]byte{byte(threshold), byte(n)}, Browser: cookie})
			guess(t, signIn, "anna", portal.Actor{Browser: cookie})
			guess(t, signIn, "anna", portal.Actor{})
		}
		most := min(max(1, threshold-1), signin.FineGrained-1)
		if got := int(dir.asked.Load()); got != most {
			t.Errorf("%d passwords were judged, want %d: the directory locks at %d", got, most, threshold)
		}
		p.Clock.Advance(time.Hour)
	}
}

// TestA16_KnownBrowserHoldsNoSecret looks into the cookie.
func TestA16_KnownBrowserHoldsNoSecret(t *testing.T) {
	p := newPortal(t)
	cookie := ""
	for n := range 6 {
		cookie = p.SignIn.KnowBrowser(cookie, portal.PersonID(fmt.Sprint("person ", n)))
	}
	cookie = p.SignIn.KnowBrowser(p.SignIn.KnowBrowser(cookie, p.anna.ID), p.anna.ID)
	parts := strings.Split(cookie, ".")
	if len(parts) != 4 || len(cookie) > 400 {
		t.Errorf("%d entries of %d bytes, want 4 of 400 at most", len(parts), len(cookie))
	}
	for _, part := range parts {
		raw := testkit.Must(base64.RawURLEncoding.DecodeString(part))(t)
		for _, secret := range []string{string(p.anna.ID), p.anna.Login, p.anna.UPN, "person"} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("the cookie holds %q", secret)
			}
		}
	}
}

// TestA8_RightPasswordIsNoWrongTry signs in again and again to an account that may not
// sign in: that is no guessing, and not counted down.
func TestA8_RightPasswordIsNoWrongTry(t *testing.T) {
	for _, reason := range []portal.Reason{portal.PasswordOld, portal.Expired, portal.Disabled, portal.Restricted} {
		t.Run(string(reason), func(t *testing.T) {
			p := newPortal(t)
			signIn := p.signInOver(&counting{Directory: p.People, err: &portal.Refusal{Reason: reason}})
			for range 3 * signin.DefaultTries {
				_, err := signIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{Address: "192.0.2.1"})
				var refusal *portal.Refusal
				if !errors.As(err, &refusal) || refusal.Reason != reason {
					t.Fatalf("got %v, want %s", err, reason)
				}
			}
			_, err := p.SignIn.Authenticate(t.Context(), "anna", "wrong", portal.Actor{Address: "192.0.2.1"})
			var wrong *signin.Wrong
			if !errors.As(err, &wrong) || wrong.Left != signin.DefaultTries-1 {
				t.Errorf("the first wrong one: %v, want %d left", err, signin.DefaultTries-1)
			}
		})
	}
}

// TestA8_FloodOfNamesLeavesTheOffice tries 200 made-up names from one address in ten
// seconds, and goes on so.
func TestA8_FloodOfNamesLeavesTheOffice(t *testing.T) {
	p := newPortal(t)
	dir := &counting{Directory: p.People, err: portal.ErrCredentials}
	flood := p.NewSignIn(func(c *signin.Config) { c.Directory = dir })
	office := portal.Actor{Address: "192.0.2.1"}
	names := 0
	tries := func(n int, within time.Duration) {
		for range n {
			names++
			if _, err := flood.Authenticate(t.Context(), fmt.Sprint("made-up-", names), "Spring2026!", office); err == nil {
				t.Fatal("signed in")
			}
			p.Clock.Advance(within / time.Duration(n))
		}
	}
	tries(200, 10*time.Second)
	known := office
	known.Browser = p.SignIn.KnowBrowser("", p.anna.ID)
	if !p.passes("anna", known) {
		t.Error("the known browser is paused")
	}
	other := p.Add("ben", fixture.SIDPrefix+"1102")
	waited := time.Duration(0)
	for ; waited <= time.Minute; waited += time.Second {
		if _, err := p.SignIn.Authenticate(t.Context(), other.Login, fixture.Password, office); err == nil {
			break
		}
		p.Clock.Advance(time.Second)
	}
	if waited > time.Minute {
		t.Error("another browser is still paused after a minute")
	}
	// While the flood goes on, a steady trickle is judged.
	before := dir.asked.Load()
	tries(600, 5*time.Minute)
	if got := dir.asked.Load() - before; got > 5*7+1 {
		t.Errorf("%d passwords were judged in five minutes, want 7 a minute", got)
	}
	if got := fixture.Count(p.Entries(), audit.SignInRefused); got > 150 {
		t.Errorf("%d audit entries of the flood", got)
	}
}

// TestA8_FloodOfCodesLeavesTheOffice does the same with codes.
func TestA8_FloodOfCodesLeavesTheOffice(t *testing.T) {
	p := newCounter(t)
	_, handoff := p.offer()
	_, pickup := p.invite(alone)
	known := portal.Actor{Address: "2001:db8::1", Browser: p.SignIn.KnowBrowser("", "id-of-another")}
	for _, kind := range []struct {
		name string
		open func(good bool, by portal.Actor) error
	}{
		{"hand-off", func(good bool, by portal.Actor) error {
			code := signin.HandoffCode("22222222")
			if good {
				code = handoff
			}
			_, err := p.SignIn.OpenHandoff(t.Context(), code, by)
			return err
		}},
		{"pickup", func(good bool, by portal.Actor) error {
			code := signin.PickupCode("222222222222")
			if good {
				code = pickup
			}
			_, err := p.SignIn.OpenInvitation(t.Context(), code, by)
			return err
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			paused := 0
			for range 200 {
				var refusal *portal.Refusal
				if err := kind.open(false, stranger("2001:db8::2")); errors.As(err, &refusal) {
					paused++
				}
				p.Clock.Advance(10 * time.Second / 200)
			}
			if paused < 90 || paused > 100 {
				t.Errorf("%d of 200 guesses were paused", paused)
			}
			if err := kind.open(true, known); err != nil {
				t.Errorf("known browser: %v", err)
			}
			for n := range 2 * signin.BrowserCodes {
				var refusal *portal.Refusal
				if err := kind.open(false, known); err == nil || n >= signin.BrowserCodes+1 && !errors.As(err, &refusal) {
					t.Errorf("guess %d of a known browser: %v", n, err)
				}
			}
			p.Clock.Advance(30 * time.Second)
			if err := kind.open(true, stranger("2001:db8::3")); err != nil {
				t.Errorf("another phone, half a minute later: %v", err)
			}
		})
	}
	mine := p.actor()
	mine.Address = "2001:db8::2"
	_, own := p.invite()
	if _, err := p.SignIn.OpenInvitation(t.Context(), own, mine); err != nil {
		t.Errorf("a person who is signed in: %v", err)
	}
}
