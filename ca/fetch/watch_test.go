package fetch_test

import (
	"context"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"certportal/ca/fetch"
	"certportal/internal/test/testkit"
)

// watch is a watch of the company's only link.
func (c *company) watch(now func() time.Time) *fetch.Watch {
	return fetch.NewWatch(fetch.WatchConfig{
		Client: &fetch.Client{Timeout: 5 * time.Second}, Links: func() []fetch.Link { return []fetch.Link{{Certificate: c.issuing, Issuer: c.root}} },
		Every: 100 * time.Millisecond, Retry: 10 * time.Millisecond, Spread: time.Millisecond, Now: now, Log: testkit.NewLog(c.t).Logger(),
	})
}

// Before its first round the watch says that it has not looked, not that all is well.
func TestWatchBeforeItsFirstRound(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	state := c.watch(time.Now).State()
	if len(state) != 1 || state[0].Checked() || state[0].Newest != nil || state[0].Last.State == fetch.Good {
		t.Errorf("got %+v", state)
	}
}

// A failure keeps the last list, and the time since when rounds fail.
func TestWatchFailsAndRecovers(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	clock := testkit.NewRunningClock()
	w := c.watch(clock.Now)
	round := func(want fetch.State, fine bool) fetch.Watched {
		t.Helper()
		testkit.Equal(t, "fine", w.Round(t.Context()), fine)
		got := w.State()[0]
		testkit.Equal(t, "state", got.Last.State, want)
		return got
	}
	if got := round(fetch.Failed, false); got.Newest != nil || got.Failing.IsZero() {
		t.Errorf("got %+v", got)
	}
	c.files["/root.crl"] = c.list(nil)
	if got := round(fetch.Good, true); got.Newest == nil || !got.Failing.IsZero() {
		t.Errorf("got %+v", got)
	}
	delete(c.files, "/root.crl")
	first := round(fetch.Failed, false)
	clock.Advance(time.Hour)
	second := round(fetch.Failed, false)
	if second.Newest == nil || second.Newest.Number != "5" || !second.Failing.Equal(first.Failing) {
		t.Errorf("got %+v", second)
	}
	c.files["/root.crl"] = c.list(func(l *x509.RevocationList) { l.Number = big.NewInt(4) })
	if got := round(fetch.Warning, true); got.Newest.Number != "5" {
		t.Errorf("an older list replaced a newer one: %+v", got.Newest)
	}
	testkit.Contains(t, "sentence", w.State()[0].Last.Text, "a newer list, number 5, was here before")
}

// A revoked CA stays revoked while its list cannot be fetched.
func TestWatchKeepsARevocation(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	w := c.watch(time.Now)
	c.files["/root.crl"] = c.list(c.revoked(2))
	for range 2 {
		w.Round(t.Context())
		if got := w.State()[0].Last; got.Revoked == nil || got.State != fetch.Failed {
			t.Errorf("got %v: %s", got.State, got.Text)
		}
		testkit.Contains(t, "sentence", w.State()[0].Last.Text, "revoked it on")
		delete(c.files, "/root.crl")
	}
	c.files["/root.crl"] = c.list(nil)
	if w.Round(t.Context()); w.State()[0].Last.Revoked != nil {
		t.Error("still revoked, though the newest list does not say so")
	}
}

// A check that ran out of time is no failure of the list.
func TestWatchCutOff(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	w := c.watch(time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Round(ctx)
	if w.State()[0].Checked() {
		t.Error("a round that was cut off counts")
	}
}

// Run looks again soon after a failure.
func TestWatchRuns(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	w := c.watch(time.Now)
	w.Round(t.Context())
	c.files["/root.crl"] = c.list(nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	testkit.Eventually(t, "a good round", func() bool { return w.State()[0].Last.State == fetch.Good })
	cancel()
	<-done
}

func TestLinks(t *testing.T) {
	c, other := newCompany(t), newCompany(t)
	chain := []*x509.Certificate{c.issuing, c.root}
	testkit.Equal(t, "own root", len(fetch.Links(c.root, chain)), 0)
	testkit.Equal(t, "own root beside a company's", len(fetch.Links(c.root, chain, []*x509.Certificate{other.issuing, other.root})), 1)
	three := []*x509.Certificate{other.issuing, c.issuing, c.root}
	links := fetch.Links(nil, three, chain)
	if len(links) != 2 || links[0].Issuer != c.issuing || links[1].Certificate != c.issuing || links[1].Issuer != c.root {
		t.Errorf("got %d links", len(links))
	}
}
