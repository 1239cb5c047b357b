package signin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// desktop is a session of anna's that hand-offs are bound to.
func (p *testPortal) desktop(n byte) [32]byte {
	p.T.Helper()
	err := p.DB.SaveSession(p.T.Context(), [32]byte{n}, string(p.anna.ID), nil, time.Hour, p.Clock.Now().Add(time.Hour), p.Clock.Now())
	if err != nil {
		p.T.Fatal(err)
	}
	return [32]byte{n}
}

func (p *testPortal) offer() (signin.Handoff, signin.HandoffCode) {
	p.T.Helper()
	made, code, err := p.SignIn.OfferHandoff(p.T.Context(), p.actor(), p.desktop(1), "Anna Muster")
	if err != nil {
		p.T.Fatal(err)
	}
	return made, code
}

func wrongNumber(h signin.Handoff) int { return (h.Number + 1) % 100 }

func stranger(address string) portal.Actor { return portal.Actor{Address: address, Request: "phone"} }

// TestHandoffDraws makes many and looks at what was drawn.
func TestHandoffDraws(t *testing.T) {
	p := newPortal(t)
	codes := map[signin.HandoffCode]bool{}
	for range 60 {
		made, code := p.offer()
		if again, ok := signin.ParseHandoffCode(code.Grouped()); !ok || again != code || codes[code] {
			t.Errorf("code %s is read as %s, or came twice", code, again)
		}
		codes[code] = true
		if n, ok := signin.ParseHandoffNumber(made.Digits()); !ok || n != made.Number || len(made.Digits()) != 2 {
			t.Errorf("number %d is shown as %q, and read as %d, %v", made.Number, made.Digits(), n, ok)
		}
	}
}

func TestA9_RedeemHandoff(t *testing.T) {
	p := newPortal(t)
	made, code := p.offer()
	person, got, err := p.SignIn.RedeemHandoff(t.Context(), code, made.Number, stranger("192.0.2.9"))
	if err != nil || person.ID != p.anna.ID || got.ID != made.ID {
		t.Fatalf("got %s, hand-off %s, %v", person.ID, got.ID, err)
	}
	_, _, err = p.SignIn.RedeemHandoff(t.Context(), code, made.Number, stranger("192.0.2.9"))
	if !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("again: got %v", err)
	}
	second, code := p.offer()
	_, _, err = p.SignIn.RedeemHandoff(t.Context(), code, wrongNumber(second), stranger("192.0.2.66"))
	if !errors.Is(err, signin.ErrWrongNumber) {
		t.Errorf("wrong number: got %v", err)
	}
	if state, err := p.SignIn.Handoff(t.Context(), p.anna.ID, second.ID); err != nil || state.State != signin.HandoffBurnt {
		t.Errorf("after a wrong number: got %s, %v", state.State, err)
	}
	third, _ := p.offer()
	p.Clock.Advance(signin.HandoffLife)
	if state, err := p.SignIn.Handoff(t.Context(), p.anna.ID, third.ID); err != nil || state.State != signin.HandoffExpired {
		t.Errorf("after its time: got %s, %v", state.State, err)
	}
	type line struct {
		action                         audit.Action
		actor, person, object, address string
	}
	anna := string(p.anna.ID)
	want := []line{
		{audit.HandoffMade, anna, anna, string(made.ID), "192.0.2.1"},
		{audit.HandoffRedeemed, anna, anna, string(made.ID), "192.0.2.9"},
		{audit.HandoffMade, anna, anna, string(second.ID), "192.0.2.1"},
		{audit.HandoffBurnt, "", anna, string(second.ID), "192.0.2.66"},
		{audit.HandoffMade, anna, anna, string(third.ID), "192.0.2.1"},
	}
	var lines []line
	for _, e := range p.Entries() {
		if strings.HasPrefix(string(e.Action), "handoff.") {
			lines = append(lines, line{e.Action, e.Actor, e.Person, e.Object, e.Address})
		}
	}
	if !slices.Equal(lines, want) {
		t.Errorf("audit log: got %v, want %v", lines, want)
	}
}

// brittleStore does not close hand-offs.
type brittleStore struct{ signin.Store }

func (brittleStore) CloseHandoff(context.Context, signin.HandoffID, signin.HandoffState, time.Time, audit.Entry) error {
	return errors.New("disk full")
}

// TestA9_OneTryOfTheNumber: after a wrong number no other is compared, even if the
// store cannot close the hand-off; a right one may be sent again.
func TestA9_OneTryOfTheNumber(t *testing.T) {
	p := newPortal(t)
	brittle := p.NewSignIn(func(c *signin.Config) { c.Store = brittleStore{c.Store} })
	var outage *portal.Outage

	made, code := p.offer()
	_, _, err := brittle.RedeemHandoff(t.Context(), code, wrongNumber(made), stranger("192.0.2.66"))
	if !errors.As(err, &outage) || outage.Part != portal.PartStore {
		t.Errorf("wrong number, not recorded: got %v, want an outage of the store", err)
	}
	_, _, err = p.SignIn.RedeemHandoff(t.Context(), code, made.Number, stranger("192.0.2.66"))
	if !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("second number: got %v, want %v", err, portal.ErrNotFound)
	}

	made, code = p.offer()
	_, _, err = brittle.RedeemHandoff(t.Context(), code, made.Number, stranger("192.0.2.9"))
	if !errors.As(err, &outage) {
		t.Errorf("right number, not recorded: got %v, want an outage", err)
	}
	if _, _, err = p.SignIn.RedeemHandoff(t.Context(), code, made.Number, stranger("192.0.2.9")); err != nil {
		t.Errorf("right number again: %v", err)
	}
}

// TestA9_StolenCodeAlone sends many numbers at once: one of them is compared. A store
// that is too busy to count a try compares none.
func TestA9_StolenCodeAlone(t *testing.T) {
	p := newPortal(t)
	made, code := p.offer()
	results := make(chan error, 24)
	for n := range cap(results) {
		go func() {
			number := (made.Number + n) % 100 // the right one among them
			_, _, err := p.SignIn.RedeemHandoff(t.Context(), code, number, stranger("192.0.2.66"))
			results <- err
		}()
	}
	compared, uncounted := 0, 0
	var outage *portal.Outage
	for range cap(results) {
		switch err := <-results; {
		case err == nil, errors.Is(err, signin.ErrWrongNumber):
			compared++
		case errors.As(err, &outage):
			uncounted++
		case !errors.Is(err, portal.ErrNotFound):
			t.Errorf("got %v", err)
		}
	}
	if compared > 1 || compared+uncounted == 0 {
		t.Errorf("%d numbers were compared for hand-off %s, want 1", compared, made.ID)
	}
}

func TestParseHandoffNumber(t *testing.T) {
	tests := []struct {
		name, typed string
		want        int
		ok          bool
	}{
		{"two digits", "47", 47, true},
		{"leading zero", "07", 7, true},
		{"zeros", "00", 0, true},
		{"spaces", " 4 7 ", 47, true},
		{"one digit", "7", 0, false},
		{"three digits", "047", 0, false},
		{"sign", "+7", 0, false},
		{"minus", "-7", 0, false},
		{"underscore", "4_7", 0, false},
		{"hexadecimal", "0x", 0, false},
		{"another script", "٤٧", 0, false},
		{"empty", "", 0, false},
		{"blanks without end", strings.Repeat(" ", 1000) + "47", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := signin.ParseHandoffNumber(tt.typed)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("got %d, %v, want %d, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// TestA8_HandoffGuesses counts codes that open nothing, and no others.
func TestA8_HandoffGuesses(t *testing.T) {
	p := newPortal(t)
	_, code := p.offer()
	guess := func(code signin.HandoffCode, address string) error {
		_, err := p.SignIn.OpenHandoff(t.Context(), code, stranger(address))
		return err
	}
	for i := range signin.HandoffTries {
		if err := guess(code, "2001:db8::2"); err != nil {
			t.Fatalf("right code %d: %v", i, err)
		}
		if err := guess("22222222", "2001:db8::1"); !errors.Is(err, portal.ErrNotFound) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	var refusal *portal.Refusal
	if err := guess(code, "2001:db8::3"); !errors.As(err, &refusal) || refusal.Reason != portal.PausedCodes {
		t.Errorf("right code from the same network: got %v, want a pause", err)
	}
	if err := guess(code, "2001:db8:0:1::1"); err != nil {
		t.Errorf("right code from another network: %v", err)
	}
}

func TestParseHandoffCode(t *testing.T) {
	tests := []struct {
		name, typed string
		want        signin.HandoffCode
	}{
		{"as shown", "7F3K-9QXM", "7F3K9QXM"},
		{"small letters", "7f3k9qxm", "7F3K9QXM"},
		{"spaces and hyphens", " 7f-3k 9q - xm\t", "7F3K9QXM"},
		{"short", "7F3K9QX", ""},
		{"long", "7F3K9QXMA", ""},
		{"misread letter", "7F3K9QXO", ""},
		{"misread digit", "7F3K9QX0", ""},
		{"letter that becomes two", "7F3K9QXß", ""},
		{"other script", "７F3K9QX", ""},
		{"empty", "", ""},
		{"blanks without end", strings.Repeat(" ", 1000) + "7F3K9QXM", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := signin.ParseHandoffCode(tt.typed)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

func FuzzParseHandoffCode(f *testing.F) {
	for _, seed := range []string{"7F3K-9QXM", "", "\xff\xff", "ſſſſſſſſ", "7f3k–9qxm"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := signin.ParseHandoffCode(typed)
		if !ok {
			return
		}
		if again, ok := signin.ParseHandoffCode(string(code)); !ok || again != code || len(code) != 8 {
			t.Errorf("%q is read as %q, and that as %q", typed, code, again)
		}
	})
}

func TestA18_MaskName(t *testing.T) {
	tests := []struct{ name, full, want string }{
		{"two words", "Li Wei", "L** W**"},
		{"one letter", "X", "X**"},
		{"other script", "李伟", "李**"},
		{"direction turned", "\u202eLi \u2066Wei\u2069", "L** W**"},
		{"mark alone", "\u0301Li", "L**"},
		{"nothing to see", "\u200b\u3164 \u00a0", "**"},
		{"empty", "", "**"},
		{"not UTF-8", "\xffLi", "L**"},
		{"many words", "a b c d e f", "a** b** c** d**"},
		{"markup", "<b>Li</b> {{.X}}", "<** {**"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := signin.MaskName(tt.full); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
