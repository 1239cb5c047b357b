package signin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// newCounter is a portal whose sign-in takes pickup codes.
func newCounter(t *testing.T) *testPortal {
	p := newPortal(t)
	p.hedi = testkit.Must(p.People.Add(t.Context(), directory.NewAccount{
		Login: "hedi", UPN: "hedi@corp.example", Password: fixture.Password, Roles: []portal.Role{portal.Helpdesk},
	}, audit.Entry{At: p.Clock.Now(), Action: audit.AccountAdded, Actor: "system", Role: "system"}))(t)
	p.SignIn = testkit.Must(signin.New(signin.Config{
		Directory: p.People, Store: p.DB, NeverLocks: true, CodeAlone: true,
		Now: p.Clock.Now, Log: slog.New(slog.DiscardHandler),
	}))(t)
	return p
}

// invite records an invitation of anna's as the desk would, and gives its code.
func (p *testPortal) invite(change ...func(*signin.Invitation)) (signin.Invitation, signin.PickupCode) {
	p.T.Helper()
	code := testkit.Must(signin.NewPickupCode())(p.T)
	i := signin.Invitation{
		ID: signin.InvitationID("i-" + strings.ToLower(string(code))), Person: p.anna.ID, MadeBy: p.hedi.ID, MadeRole: portal.Helpdesk,
		Made: p.Clock.Now(), Check: signin.CheckInPerson, Purpose: signin.ForNew, State: signin.InvitationOpen,
		Expires: p.Clock.Now().Add(signin.InvitationLife),
	}
	for _, c := range change {
		c(&i)
	}
	err := p.DB.Invite(p.T.Context(), signin.InvitationOffer{
		Invitation: i, CodeHash: testkit.Must(p.SignIn.HashPickupCode(p.T.Context(), code))(p.T),
		Entry: audit.Entry{At: p.Clock.Now(), Action: audit.InvitationMade, Actor: "hedi", Person: string(i.Person), Object: string(i.ID)},
	})
	if err != nil {
		p.T.Fatal(err)
	}
	return i, code
}

func alone(i *signin.Invitation) { i.Alone = true }

func TestParsePickupCode(t *testing.T) {
	tests := []struct {
		name, typed string
		want        signin.PickupCode
	}{
		{"as shown", "7F3K-9QXM-2WTA", "7F3K9QXM2WTA"},
		{"small letters", "7f3k9qxm2wta", "7F3K9QXM2WTA"},
		{"spaces, hyphens, dashes", " 7f3k 9qxm–2w-t a\t", "7F3K9QXM2WTA"},
		{"short", "7F3K-9QXM", ""},
		{"long", "7F3K-9QXM-2WTAA", ""},
		// 0 may have been a D or a Q, 1 a 7 or a J: no other spelling of one code.
		{"zero", "7F3K-9QXM-2WT0", ""},
		{"letter O", "7F3K-9QXM-2WTO", ""},
		{"letter I", "7F3K-9QXM-2WTI", ""},
		{"letter L", "7F3K-9QXM-2WTL", ""},
		{"one", "7F3K-9QXM-2WT1", ""},
		{"other script", "７F3K9QXM2WTA", ""},
		{"empty", "", ""},
		{"blanks without end", strings.Repeat(" ", 100) + "7F3K9QXM2WTA", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := signin.ParsePickupCode(tt.typed)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

func FuzzParsePickupCode(f *testing.F) {
	for _, seed := range []string{"7F3K-9QXM-2WTA", "", "\xff\xff", "ſſſſſſſſſſſſ", "7f3k–9qxm–2wta"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := signin.ParsePickupCode(typed)
		again, same := signin.ParsePickupCode(code.Grouped())
		if ok && (!same || again != code || len(code) != 12) {
			t.Errorf("%q is read as %q, and that as %q", typed, code, again)
		}
	})
}

// TestOpenInvitation: its person gets in, any other client with the code learns as
// little as for one that never was.
func TestOpenInvitation(t *testing.T) {
	p := newCounter(t)
	ben := p.Add("ben", "S-1-5-21-1004336348-1177238915-682003330-1102")
	i, code := p.invite()
	open := func(code signin.PickupCode, by portal.Actor) error {
		_, err := p.SignIn.OpenInvitation(t.Context(), code, by)
		return err
	}
	opened, err := p.SignIn.OpenInvitation(t.Context(), code, p.actor())
	if err != nil || opened != i {
		t.Fatalf("got %+v, %v", opened, err)
	}
	strange := by("192.0.2.50")
	_, single := p.invite(alone, func(i *signin.Invitation) { i.Person = ben.ID })
	for _, tt := range []struct {
		name string
		code signin.PickupCode
		by   portal.Actor
		left int
	}{
		{"unknown", "222222222222", fixture.Employee(ben), 4},
		{"somebody else's", code, fixture.Employee(ben), 3},
		{"stranger with an unknown one", "222222222222", strange, 0},
		{"stranger with a code that is no password", code, strange, 0},
	} {
		var wrong *signin.WrongCode
		if err := open(tt.code, tt.by); !errors.As(err, &wrong) || wrong.Left != tt.left || wrong.Counted != (tt.by.Person != "") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	if err := open(single, strange); err != nil {
		t.Errorf("stranger with a code that is a password: %v", err)
	}

	done := testkit.Must(p.Enroll(t.Context(), invitedBy(p.request("Phone", "one"), i)))(t)
	var gone *signin.CodeGone
	if err := open(code, p.actor()); !errors.As(err, &gone) || gone.State != signin.InvitationRedeemed || !gone.At.Equal(p.Clock.Now()) {
		t.Errorf("used: got %v", err)
	}
	if kept := testkit.Must(p.DB.Invitation(t.Context(), i.ID))(t); kept.Serial != done.Serial {
		t.Errorf("used for %s, want %s", kept.Serial, done.Serial)
	}
	_, first := p.invite()
	_, second := p.invite(func(i *signin.Invitation) { i.State = signin.InvitationWaiting })
	if err := open(first, p.actor()); !errors.As(err, &gone) || gone.State != signin.InvitationEnded {
		t.Errorf("replaced: got %v", err)
	}
	if err := open(second, p.actor()); !errors.As(err, &gone) || gone.State != signin.InvitationWaiting {
		t.Errorf("waiting: got %v", err)
	}
	p.Clock.Advance(signin.InvitationLife)
	var wrong *signin.WrongCode
	if err := open(single, strange); !errors.As(err, &wrong) {
		t.Errorf("stranger, run out: got %v", err)
	}
	if err := open(single, fixture.Employee(ben)); !errors.As(err, &gone) || gone.State != signin.InvitationExpired {
		t.Errorf("run out: got %v", err)
	}
	reasons := []string{}
	for _, e := range p.Entries() {
		if e.Action == audit.InvitationRefused {
			reasons = append(reasons, e.Detail["reason"])
		}
	}
	if want := []string{"unknown", "foreign", "redeemed", "ended", "waiting", "expired"}; !slices.Equal(reasons, want) {
		t.Errorf("audit log: got %v, want %v", reasons, want)
	}
}

func by(address string) portal.Actor { return portal.Actor{Address: address, Request: "phone"} }

func invitedBy(req enroll.Request, i signin.Invitation) enroll.Request {
	req.Invitation = i.ID
	return req
}

// TestA8_PickupCodeGuesses: a person may be wrong five times, a network a hundred;
// a right code costs nothing.
func TestA8_PickupCodeGuesses(t *testing.T) {
	p := newCounter(t)
	_, code := p.invite(alone)
	open := func(code signin.PickupCode, by portal.Actor) error {
		_, err := p.SignIn.OpenInvitation(t.Context(), code, by)
		return err
	}
	guess := signin.PickupCode("333333333333")
	var wrong *signin.WrongCode
	var refusal *portal.Refusal
	for n := range signin.PickupTries {
		if err := open(code, p.actor()); err != nil {
			t.Fatal(err)
		}
		if err := open(guess, p.actor()); !errors.As(err, &wrong) || wrong.Left != signin.PickupTries-1-n {
			t.Fatalf("guess %d: got %v", n, err)
		}
	}
	if err := open(code, p.actor()); !errors.As(err, &refusal) || refusal.Reason != portal.PausedPickup {
		t.Errorf("right code in the pause: got %v", err)
	}
	p.Clock.Advance(signin.DefaultWindow)
	if err := open(code, p.actor()); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	for range signin.PickupAddressTries {
		if err := open(guess, by("2001:db8::7")); !errors.As(err, &wrong) {
			t.Fatalf("got %v", err)
		}
	}
	if err := open(code, by("2001:db8::8")); !errors.As(err, &refusal) || refusal.Reason != portal.PausedCodes {
		t.Errorf("right code from the same network: got %v", err)
	}
	if err := open(code, by("2001:db8:0:1::8")); err != nil {
		t.Errorf("right code from another network: %v", err)
	}
}

// TestA8_PickupCodesLookAlike counts the work behind each no and not its time:
// every way to fail asks the records for the same things in the same order.
func TestA8_PickupCodesLookAlike(t *testing.T) {
	p := newCounter(t)
	ben := p.Add("ben", "S-1-5-21-1004336348-1177238915-682003330-1102")
	i, used := p.invite()
	testkit.Must(p.Enroll(t.Context(), invitedBy(p.request("Phone", "one"), i)))(t)
	_, ended := p.invite()
	_, expired := p.invite(func(i *signin.Invitation) { i.Expires = p.Clock.Now().Add(time.Millisecond) })
	_, foreign := p.invite(func(i *signin.Invitation) { i.Person = ben.ID })
	p.Clock.Advance(time.Second)
	steps := &steps{Store: p.DB}
	signIn := testkit.Must(signin.New(signin.Config{
		Directory: p.People, Store: steps, Now: p.Clock.Now, Log: slog.New(slog.DiscardHandler),
	}))(t)
	want := ""
	for name, code := range map[string]signin.PickupCode{
		"unknown": "444444444444", "used": used, "ended": ended, "expired": expired, "foreign": foreign,
	} {
		steps.done = nil
		if _, err := signIn.OpenInvitation(t.Context(), code, p.actor()); err == nil {
			t.Errorf("%s: opened", name)
		}
		got := fmt.Sprint(steps.done)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: steps %s, want %s", name, got, want)
		}
	}
}

// steps notes what is asked of the records.
type steps struct {
	signin.Store
	mu   sync.Mutex
	done []string
}

func (s *steps) step(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, name)
}

func (s *steps) Try(ctx context.Context, key string, limit signin.Limit, now time.Time) (signin.Tries, error) {
	s.step("try")
	return s.Store.Try(ctx, key, limit, now)
}

func (s *steps) GiveBack(ctx context.Context, key string) error {
	s.step("give back")
	return s.Store.GiveBack(ctx, key)
}

func (s *steps) InvitationByCode(ctx context.Context, hash [32]byte) (signin.Invitation, error) {
	s.step("look up")
	return s.Store.InvitationByCode(ctx, hash)
}

func (s *steps) Note(ctx context.Context, e audit.Entry) error {
	s.step("note")
	return s.Store.Note(ctx, e)
}

// A code that replaces a password lets its person in, as the directory knows them
// now.
func TestSignInByCode(t *testing.T) {
	p := newCounter(t)
	i, code := p.invite(alone)
	person, opened, err := p.SignIn.SignInByCode(t.Context(), code, portal.Actor{Person: "somebody", Address: "192.0.2.9"})
	if err != nil || person.ID != p.anna.ID || opened.ID != i.ID {
		t.Fatalf("got %s, %s, %v", person.ID, opened.ID, err)
	}
	last := p.Entries()
	if e := last[len(last)-1]; e.Action != audit.SignedIn || e.Actor != string(p.anna.ID) || e.Detail["method"] != "pickup-code" {
		t.Errorf("audit log: got %+v", e)
	}
	if err := p.People.SetDisabled(t.Context(), "anna", true, audit.Entry{}); err != nil {
		t.Fatal(err)
	}
	var refusal *portal.Refusal
	if _, _, err := p.SignIn.SignInByCode(t.Context(), code, by("192.0.2.9")); !errors.As(err, &refusal) || refusal.Reason != portal.Disabled {
		t.Errorf("switched off: got %v", err)
	}
	off := testkit.Must(signin.New(signin.Config{
		Directory: p.People, Store: p.DB, Now: p.Clock.Now,
	}))(t)
	var wrong *signin.WrongCode
	if _, _, err := off.SignInByCode(t.Context(), code, by("192.0.2.9")); !errors.As(err, &wrong) {
		t.Errorf("setting off: got %v", err)
	}
}

// TestA3_SignInByCode: who became protected since the code was given is not let in
// by it.
func TestA3_SignInByCode(t *testing.T) {
	p := newCounter(t)
	_, code := p.invite(alone)
	signIn := testkit.Must(signin.New(signin.Config{
		Directory: &promoted{p.People}, Store: p.DB, CodeAlone: true, Now: p.Clock.Now,
		Log: slog.New(slog.DiscardHandler),
	}))(t)
	var refusal *portal.Refusal
	if _, _, err := signIn.SignInByCode(t.Context(), code, by("192.0.2.9")); !errors.As(err, &refusal) || refusal.Reason != portal.Protected {
		t.Errorf("got %v", err)
	}
}

// TestA11_DismissedStaffLeaveNoCodes: a code works only while its maker is staff.
func TestA11_DismissedStaffLeaveNoCodes(t *testing.T) {
	p := newCounter(t)
	_, code := p.invite(alone)
	demoted := testkit.Must(signin.New(signin.Config{
		Directory: &demoted{p.People}, Store: p.DB, CodeAlone: true, Now: p.Clock.Now,
		Log: slog.New(slog.DiscardHandler),
	}))(t)
	var wrong *signin.WrongCode
	if _, _, err := demoted.SignInByCode(t.Context(), code, by("192.0.2.9")); !errors.As(err, &wrong) {
		t.Errorf("no helpdesk any more: got %v", err)
	}
	if err := p.People.SetDisabled(t.Context(), "hedi", true, audit.Entry{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.SignIn.SignInByCode(t.Context(), code, by("192.0.2.9")); !errors.As(err, &wrong) {
		t.Errorf("switched off: got %v", err)
	}
	if err := p.People.Remove(t.Context(), "hedi", audit.Entry{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.SignIn.SignInByCode(t.Context(), code, by("192.0.2.9")); !errors.As(err, &wrong) {
		t.Errorf("gone: got %v", err)
	}
}

// demoted is a directory in which no person is staff any more.
type demoted struct{ portal.Directory }

func (d *demoted) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	person, err := d.Directory.Person(ctx, id)
	person.Roles = nil
	return person, err
}

// promoted is a directory in which every person became protected.
type promoted struct{ portal.Directory }

func (p *promoted) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	person, err := p.Directory.Person(ctx, id)
	person.Protected = true
	return person, err
}

// Where a code is required, nothing is issued without one, on no way.
func TestCodeRequired(t *testing.T) {
	p := newCounter(t)
	strict := p.NewRegistrar(func(c *enroll.Config) { c.CodeRequired, c.DeviceKeys = true, true })
	i, _ := p.invite()
	ways := map[string]func(enroll.Request) error{
		"key here": func(r enroll.Request) error { _, err := strict.Enroll(t.Context(), r); return err },
		"own key": func(r enroll.Request) error {
			_, err := strict.EnrollKey(t.Context(), r, testkit.ECKey(t).Public())
			return err
		},
		"device key": func(r enroll.Request) error { _, err := strict.NewChallenge(t.Context(), r); return err },
	}
	var refusal *portal.Refusal
	for name, way := range ways {
		if err := way(p.request("Phone "+name, name)); !errors.As(err, &refusal) || refusal.Reason != portal.CodeNeeded {
			t.Errorf("%s without a code: got %v", name, err)
		}
	}
	if err := ways["device key"](invitedBy(p.request("Phone", "a"), i)); err != nil {
		t.Errorf("challenge with a code: %v", err)
	}
	if err := ways["own key"](invitedBy(p.request("Laptop", "b"), i)); err != nil {
		t.Errorf("certificate with a code: %v", err)
	}
	for name, way := range ways {
		if err := way(invitedBy(p.request("Second "+name, "c"+name), i)); !errors.As(err, &refusal) || refusal.Reason != portal.CodeOver {
			t.Errorf("%s with a used code: got %v", name, err)
		}
	}
	if n := fixture.Count(p.Entries(), audit.InvitationRedeemed); n != 1 {
		t.Errorf("%d codes used, want 1", n)
	}
	if !strict.CodeRequired() || p.CodeRequired() {
		t.Error("the setting is not told")
	}
}

// Many taps and many phones with one code make one certificate.
func TestF22_OneCertificateForOneCode(t *testing.T) {
	p := newCounter(t)
	r := p.NewRegistrar(func(c *enroll.Config) { c.Quota = 100 })
	i, _ := p.invite()
	var waiting sync.WaitGroup
	outcomes := make(chan error, 40)
	for n := range cap(outcomes) {
		req := invitedBy(p.request(fmt.Sprint("Phone ", n/2), fmt.Sprint("form ", n/2)), i)
		waiting.Go(func() {
			_, err := r.Enroll(t.Context(), req)
			outcomes <- err
		})
	}
	waiting.Wait()
	close(outcomes)
	good := 0
	var refusal *portal.Refusal
	for err := range outcomes {
		switch {
		case err == nil:
			good++
		case !errors.As(err, &refusal) || refusal.Reason != portal.CodeOver:
			t.Errorf("got %v", err)
		}
	}
	issued := fixture.Count(p.Entries(), audit.CertificateIssued)
	if issued != 1 || good != 2 { // both taps on the form that won
		t.Errorf("%d certificates, %d told so; want 1 and 2", issued, good)
	}
}
