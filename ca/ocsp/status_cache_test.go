package ocsp

import (
	"math/big"
	"testing"
	"time"

	"certportal/ca"
)

// TestA17_NoMoreThanTheBound checks that a full cache drops its oldest status for a new one.
func TestA17_NoMoreThanTheBound(t *testing.T) {
	const bound = 100
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f := newStatusCache(DefaultLife, bound)
	serial := func(i int64) ca.Serial {
		s, err := ca.SerialOf(big.NewInt(i + 1))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if f.store(newCachedStatus(serial(0), Status{State: Good}, now), f.currentGeneration()) {
		t.Error("kept while the audit log is not followed")
	}
	f.markSeen(now)
	for i := range int64(3 * bound) {
		now = now.Add(time.Second)
		if !f.store(newCachedStatus(serial(i), Status{State: Good}, now), f.currentGeneration()) {
			t.Fatalf("fact %d is not kept", i)
		}
	}
	if f.size() != bound || f.order.Len() != bound {
		t.Errorf("got %d facts, %d in order", f.size(), f.order.Len())
	}
	for i := range int64(3 * bound) {
		if _, _, ok := f.find(serial(i), now); ok != (i >= 2*bound) {
			t.Errorf("fact %d: kept %v", i, ok)
		}
	}
	// Storing the same certificate again replaces its status.
	for range 3 * bound {
		f.store(newCachedStatus(serial(0), Status{State: Good}, now), f.currentGeneration())
	}
	if f.size() != bound || f.order.Len() != bound {
		t.Errorf("got %d facts, %d in order", f.size(), f.order.Len())
	}
}

// BenchmarkAsk is what a question about a certificate adds to a cached answer when one was
// noted within the hour.
func BenchmarkAsk(b *testing.B) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := newStatusCache(DefaultLife, 1)
	held := newCachedStatus(ca.Serial{}, Status{State: Good}, now)
	c.ask(held, now)
	for b.Loop() {
		c.ask(held, now)
	}
	if got := len(c.asked.take()); got != 1 {
		b.Errorf("%d questions are noted, want 1", got)
	}
}
