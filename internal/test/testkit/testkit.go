// Package testkit holds the small helpers that tests of all packages share: a
// clock that the test sets, a log that it reads, and short forms of checks. It
// imports nothing of the module, so every test can use it; fixtures that need the
// CA, the store or the registrar are in package fixture.
package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"
)

// Must returns the value of a call and ends the test when the call returned an
// error: db := testkit.Must(store.Open(ctx, c))(t).
func Must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// NoError ends the test when err is not nil.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Equal reports a value that differs from the wanted one.
func Equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// Contains reports a text that lacks a part.
func Contains(t testing.TB, what, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s: got %q, want it to contain %q", what, got, want)
	}
}

// Eventually polls until done returns true, and ends the test after two minutes.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(2 * time.Minute)
	for !done() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("%s: not within two minutes", what)
		}
	}
}

// ECKey returns a new key on the curve P-256.
func ECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
}
