package fetch

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"sync"
	"time"
)

// Link is a certificate of a chain and its issuer, whose list can revoke it.
type Link struct{ Certificate, Issuer *x509.Certificate }

// Watched is what the watch knows about the lists of one certificate.
type Watched struct {
	Link
	Last    Lists     // of the last round; zero before the first: not checked yet
	Newest  *List     // last verified list, which clients may still hold; nil without one
	Failing time.Time // since when rounds fail; zero when the last did not
}

// Checked reports whether there was a round at all.
func (w Watched) Checked() bool { return !w.Last.At.IsZero() }

// WatchConfig configures a Watch. Fields are required unless they say otherwise.
type WatchConfig struct {
	Client *Client
	Links  func() []Link // read in each round, because authorities come and go

	Every time.Duration // Optional: between rounds; default one hour
	Retry time.Duration // Optional: after the first round that fails, doubled up to Every; default five minutes

	// Spread bounds the wait before the first round, so that replicas that start together
	// do not ask together. Optional: default 20 seconds.
	Spread time.Duration

	Now func() time.Time
	Log *slog.Logger
}

// Watch fetches the lists of chains that the portal does not make, and keeps the results
// in memory. It is safe for concurrent use.
type Watch struct {
	c WatchConfig

	round sync.Mutex // one at a time
	mu    sync.Mutex
	known map[string]Watched // by certificate
}

// NewWatch returns a watch that has not looked yet.
func NewWatch(c WatchConfig) *Watch {
	if c.Every <= 0 {
		c.Every = time.Hour
	}
	if c.Retry <= 0 {
		c.Retry = 5 * time.Minute
	}
	if c.Spread <= 0 {
		c.Spread = 20 * time.Second
	}
	return &Watch{c: c, known: map[string]Watched{}}
}

// roundTime bounds a round.
const roundTime = 2 * time.Minute

// Run makes rounds until the context ends.
func (w *Watch) Run(ctx context.Context) {
	wait, retry := rand.N(w.c.Spread), w.c.Retry
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		round, cancel := context.WithTimeout(ctx, roundTime)
		fine := w.Round(round)
		cancel()
		wait = w.c.Every - rand.N(w.c.Every/10+1)
		if fine {
			retry = w.c.Retry
			continue
		}
		wait, retry = min(wait, retry), min(2*retry, w.c.Every)
	}
}

// Round fetches the lists of all links. It reports whether none failed. What the end of
// the context cut off counts as not asked.
func (w *Watch) Round(ctx context.Context) bool {
	w.round.Lock()
	defer w.round.Unlock()
	links := w.c.Links()
	results := make([]Lists, len(links))
	var asking sync.WaitGroup
	for i, link := range links {
		asking.Go(func() { results[i] = w.c.Client.Lists(ctx, link.Certificate, link.Issuer, w.c.Now()) })
	}
	asking.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	known := map[string]Watched{}
	fine := true
	for i, link := range links {
		id := string(link.Certificate.Raw)
		before := w.known[id]
		before.Link = link
		after := before
		if ctx.Err() == nil || results[i].State == Good || results[i].State == Warning {
			after = before.next(results[i])
			w.log(before, after)
		}
		known[id] = after
		fine = fine && after.Last.State != Failed
	}
	w.known = known
	return fine
}

// next adds the result of a round.
func (w Watched) next(l Lists) Watched {
	if l.State == Failed && l.Revoked == nil && w.Last.Revoked != nil {
		// The list that named the certificate is gone: that does not undo the revocation.
		l.Revoked, l.Problem, l.Text = w.Last.Revoked, 0, w.Last.Text
	}
	w.Last = l
	if l.State != Failed {
		w.Failing = time.Time{}
	} else if w.Failing.IsZero() {
		w.Failing = l.At
	}
	if l.List == nil {
		return w
	}
	if w.Newest != nil && older(l.List, w.Newest) {
		if l.State == Good || l.State == Warning {
			w.Last.State = Warning
			w.Last.Text += "; a newer list, number " + w.Newest.Number + ", was here before: something on the way keeps copies for too long"
		}
		return w
	}
	w.Newest = l.List
	return w
}

// older reports whether a list has a lower number than another one. Lists of different
// scope have numbers of their own.
func older(l, than *List) bool {
	a, ok := new(big.Int).SetString(l.Number, 10)
	b, also := new(big.Int).SetString(than.Number, 10)
	return ok && also && l.Scope == than.Scope && l.URL == than.URL && a.Cmp(b) < 0
}

// log records changes only: rounds are many.
func (w *Watch) log(before, after Watched) {
	if before.Last.State == after.Last.State {
		return
	}
	attributes := []any{"certificate", after.Certificate.Subject.String(), "text", after.Last.Text}
	switch {
	case after.Last.State == Failed:
		w.c.Log.Error("revocation list of the authority above cannot be used", attributes...)
	case before.Last.State == Failed:
		w.c.Log.Info("revocation list of the authority above can be used again", attributes...)
	case after.Last.State != Good:
		w.c.Log.Warn("revocation list of the authority above", attributes...)
	}
}

// State gives what is known about each link, in their order. Links that no round has
// seen yet are there, not checked.
func (w *Watch) State() []Watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []Watched
	for _, link := range w.c.Links() {
		known := w.known[string(link.Certificate.Raw)]
		known.Link = link
		list = append(list, known)
	}
	return list
}

// Links gives the links of chains, each from an issuing CA to its root, without those
// whose issuer is own: the portal makes that one's lists itself. own may be nil.
func Links(own *x509.Certificate, chains ...[]*x509.Certificate) []Link {
	var links []Link
	seen := map[string]bool{}
	for _, chain := range chains {
		for i := range len(chain) - 1 {
			cert, issuer := chain[i], chain[i+1]
			if seen[string(cert.Raw)] || own != nil && bytes.Equal(issuer.Raw, own.Raw) {
				continue
			}
			seen[string(cert.Raw)] = true
			links = append(links, Link{cert, issuer})
		}
	}
	return links
}
