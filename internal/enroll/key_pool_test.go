package enroll_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"

	"certportal/ca"
	"certportal/internal/enroll"
)

func TestKeyPoolMakesKeysAhead(t *testing.T) {
	pool := enroll.NewKeyPool(ca.ECP256, 3, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); pool.Run(ctx) }()
	for pool.Ready() < 3 {
		runtime.Gosched()
	}
	for range 10 {
		key, err := pool.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if kind, err := ca.KindOf(key.Public()); err != nil || kind != ca.ECP256 {
			t.Errorf("kind %q, %v, want %q", kind, err, ca.ECP256)
		}
	}
	cancel()
	<-done
}

func TestKeyPoolWaitsNoLongerThanTheCaller(t *testing.T) {
	pool := enroll.NewKeyPool(ca.RSA4096, 0, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	waiters := runtime.GOMAXPROCS(0) + 4
	for range waiters {
		go func() {
			_, err := pool.Take(ctx)
			results <- err
		}()
	}
	cancel()
	canceled := 0
	for range waiters {
		if errors.Is(<-results, context.Canceled) {
			canceled++
		}
	}
	// Those that hold a processor finish; the others go.
	if canceled == 0 {
		t.Error("nobody stopped waiting")
	}
}
