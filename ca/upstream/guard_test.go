package upstream_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"certportal/ca/upstream"
	"certportal/internal/test/testkit"
)

// server accepts one secret and counts the others, as a directory does that locks accounts.
type server struct {
	right        string
	wrong, asked atomic.Int32
	hold         chan struct{} // open while it is closed
}

func (s *server) signIn(secret string) error {
	s.asked.Add(1)
	if s.hold != nil {
		<-s.hold
	}
	if secret != s.right {
		s.wrong.Add(1)
		return &upstream.Denied{Code: "HTTP 401", Credentials: true, SignIn: true}
	}
	return nil
}

func (s *server) try(g *upstream.Guard, secret string) error {
	return g.Try(context.Background(), secret, func() error { return s.signIn(secret) })
}

// TestA17_RefusedSecretIsTriedOnce: a rush of people does not lock the portal's account.
func TestA17_RefusedSecretIsTriedOnce(t *testing.T) {
	clock := testkit.NewClock()
	g, s := upstream.NewGuard(clock.Now), &server{right: "new"}
	before := &upstream.Denied{Code: "HTTP 403", Credentials: true} // by what is before the server, which saw no password
	if err := g.Try(t.Context(), "old", func() error { return before }); !errors.Is(err, before) {
		t.Errorf("error is %v, want %v", err, before)
	}
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			var denied *upstream.Denied
			if err := s.try(g, "old"); !errors.As(err, &denied) || !denied.SignIn {
				t.Errorf("error is %v, want the refusal", err)
			}
		})
	}
	wait.Wait()
	testkit.Equal(t, "wrong passwords at the server", s.wrong.Load(), 1)
	testkit.NoError(t, s.try(g, "new")) // the file was renewed
	if s.try(g, "old") == nil {
		t.Error("the refused secret is accepted")
	}
	testkit.Equal(t, "after another was accepted", s.wrong.Load(), 1)
	clock.Advance(15 * time.Minute)
	s.right = "old" // the account was mended, not the file
	testkit.NoError(t, s.try(g, "old"))
	testkit.NoError(t, s.try(g, "old"))
}

// A secret that was accepted is used by all requests at the same time, until it is refused.
// Errors that say nothing about it change nothing.
func TestAcceptedSecretIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := upstream.NewGuard(time.Now), &server{right: "secret"}
		testkit.NoError(t, s.try(g, "secret"))
		for _, err := range []error{upstream.ErrUnsent, &upstream.Denied{Code: "0x80094001"}, &upstream.Denied{Code: "0x80094012", Credentials: true}, errors.New("status 500")} {
			if got := g.Try(t.Context(), "secret", func() error { return err }); !errors.Is(got, err) {
				t.Errorf("got %v, want %v", got, err)
			}
		}
		s.hold = make(chan struct{})
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() { testkit.NoError(t, s.try(g, "secret")) })
		}
		synctest.Wait()
		testkit.Equal(t, "requests at the same time", s.asked.Load(), 21)
		close(s.hold)
		wait.Wait()
		s.right = "another"
		for range 3 {
			if s.try(g, "secret") == nil {
				t.Error("a refused secret is accepted")
			}
		}
		testkit.Equal(t, "wrong passwords at the server", s.wrong.Load(), 1)
	})
}

// Who waits for another to try a secret stops with its own time.
func TestWaitingForASecretEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := upstream.NewGuard(time.Now), &server{right: "secret", hold: make(chan struct{})}
		go s.try(g, "secret")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Try(ctx, "secret", func() error { return nil }); !errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("error is %v, want that nothing was sent", err)
		}
		close(s.hold)
	})
}
