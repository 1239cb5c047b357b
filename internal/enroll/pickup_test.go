package enroll_test

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/enroll"
	"certportal/internal/portal"
)

func isGone(err error) bool {
	var g *portal.Gone
	return errors.As(err, &g)
}

// read fetches the file whole, once.
func (p *testPortal) read(e enroll.Enrolment) enroll.File {
	p.T.Helper()
	f, err := p.OpenFile(p.T.Context(), p.token(e))
	if err != nil {
		p.T.Fatal(err)
	}
	if err := p.ClaimRead(p.T.Context(), portal.Actor{Address: "192.0.2.9"}, f, p.token(e)); err != nil {
		p.T.Fatal(err)
	}
	if err := p.ConfirmRead(p.T.Context(), p.token(e)); err != nil {
		p.T.Fatal(err)
	}
	return f
}

func TestPickupOpens(t *testing.T) {
	p := newPortal(t)
	done := p.enroll("phone", "1")
	first, second := p.read(done), p.read(done)
	if !first.Leaf.Equal(second.Leaf) || first.Seed != second.Seed || first.Password != second.Password {
		t.Error("two reads of one pickup differ")
	}
	if got, want := len(first.Password), 12; got != want {
		t.Errorf("password has %d characters, want %d", got, want)
	}
	if got, want := second.ReadsLeft, enroll.MaxReads-1; got != want {
		t.Errorf("%d reads left, want %d", got, want)
	}
	if p.device(done.Device).Certificate.Delivered.IsZero() {
		t.Error("the certificate is not marked as delivered")
	}
}

func TestPickupEndsAfterFiveReads(t *testing.T) {
	h := newPortal(t)
	done := h.enroll("phone", "1")
	for range enroll.MaxReads {
		h.read(done)
	}
	_, err := h.OpenFile(t.Context(), h.token(done))
	var gone *portal.Gone
	if !errors.As(err, &gone) || !gone.Used {
		t.Fatalf("OpenFile: %v, want it used up", err)
	}
	// The phone may only now ask for the password.
	p, err := h.Pickup(t.Context(), h.token(done))
	if err != nil || p.Password == "" || p.ReadsLeft != 0 {
		t.Errorf("Pickup = %+v, %v, want the fixture.Password and no reads", p, err)
	}
}

func TestPickupEndsWithItsTime(t *testing.T) {
	h := newPortal(t)
	done := h.enroll("phone", "1")
	h.read(done)
	h.Clock.Advance(enroll.PickupLife)
	if _, err := h.OpenFile(t.Context(), h.token(done)); !isGone(err) {
		t.Errorf("OpenFile: %v, want it gone", err)
	}
	if p, err := h.Pickup(t.Context(), h.token(done)); err != nil || p.Password == "" {
		t.Errorf("Pickup: %v, want the fixture.Password still", err)
	}
	h.Clock.Advance(enroll.PasswordLife - enroll.PickupLife)
	if _, err := h.Pickup(t.Context(), h.token(done)); !isGone(err) {
		t.Errorf("Pickup: %v, want it gone", err)
	}
}

func TestBrokenReadDoesNotCount(t *testing.T) {
	p := newPortal(t)
	done := p.enroll("phone", "1")
	f, err := p.OpenFile(t.Context(), p.token(done))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * enroll.MaxReads {
		if err := p.ClaimRead(t.Context(), p.actor(), f, p.token(done)); err != nil {
			t.Fatal(err)
		}
		if err := p.ReturnRead(t.Context(), p.token(done)); err != nil {
			t.Fatal(err)
		}
	}
	p.read(done)
}

func TestTokensOfOthersOpenNothing(t *testing.T) {
	p := newPortal(t)
	done := p.enroll("phone", "1")
	other := enroll.PickupKey{9}
	for _, token := range []enroll.Token{other.Token(done.Serial), "", "short", enroll.Token(strings.Repeat("A", 43)), p.token(done) + "="} {
		if _, err := p.OpenFile(t.Context(), token); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("OpenFile(%q): %v, want ErrNotFound", token, err)
		}
	}
}

func TestA16_TheDatabaseHoldsNoSecret(t *testing.T) {
	p := newPortal(t)
	done := p.enroll("phone", "1")
	f := p.read(done)
	scalar, err := f.Key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(p.Path), "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database files: %v", err)
	}
	secrets := map[string][]byte{
		"key": scalar, "password": []byte(f.Password), "token": []byte(p.token(done)),
		"pickup key": p.PickupKey[:16],
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for what, secret := range secrets {
			if bytes.Contains(content, secret) {
				t.Errorf("%s holds the %s in the clear", filepath.Base(file), what)
			}
		}
	}
}

func TestWipedKeysAreGone(t *testing.T) {
	p := newPortal(t)
	done := p.enroll("phone", "1")
	p.read(done)
	p.Clock.Advance(enroll.PasswordLife + time.Second)
	if err := p.Sweep(t.Context(), p.Stale()); err != nil {
		t.Fatal(err)
	}
	// Even a clock set back opens nothing any more.
	p.Clock.Advance(-enroll.PasswordLife)
	if _, err := p.OpenFile(t.Context(), p.token(done)); !isGone(err) {
		t.Errorf("OpenFile: %v, want it gone", err)
	}
}
