package ocsp

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"certportal/ca"
)

// Bounds of the life of an answer. RFC 6960 leaves them open; public CAs of mail
// certificates have 8 hours to 10 days.
const (
	DefaultLife = 8 * time.Hour
	MinLife     = time.Hour
	MaxLife     = 240 * time.Hour
)

const (
	// unknownLife is the longest life of an answer that says unknown: the certificate
	// may be signed a moment later.
	unknownLife = 5 * time.Minute

	// patience is how long a request waits for a free place, and for the records.
	patience = 2 * time.Second

	// readers bounds how many requests read the records at a time. Who asks for
	// numbers at random must not take the connections of those who sign in.
	readers = 4

	// renewals is how many answers are made anew in one go.
	renewals = 256
)

// Config is what a responder works with. Records, Issuing and Certify are required.
type Config struct {
	Store   Store
	Issuing *x509.Certificate // the CA for whose certificates it answers

	// Certify records and signs the certificate of a new key, by the profile of
	// ca.PrepareResponder. It is called about every two weeks.
	Certify func(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error)

	Key  ca.KeyKind       // of the signer; default ca.ECP256
	Life time.Duration    // from thisUpdate to nextUpdate of an answer; default DefaultLife
	Now  func() time.Time // default time.Now
	Log  *slog.Logger     // default slog.Default()
}

// Responder answers requests. It is safe for concurrent use.
type Responder struct {
	c       Config
	issuer  issuer
	signers *signers
	cache   *statusCache

	reading, signing             chan struct{} // places
	nudge                        chan struct{}
	following, records, answered *trouble

	followMu sync.Mutex // over the two below
	begun    bool
	position int64 // last audit log entry that was heeded
}

// Answer is what goes back to whoever asked.
type Answer struct {
	DER []byte // an OCSPResponse, also one that refuses

	// ThisUpdate and NextUpdate bound the time for which a cache may hand the answer
	// to others. Both are zero when none may: it is for one nonce, or a refusal.
	ThisUpdate, NextUpdate time.Time
}

// New checks the configuration. Nothing is read or signed before Refresh.
func New(c Config) (*Responder, error) {
	if c.Store == nil || c.Issuing == nil || c.Certify == nil {
		return nil, errors.New("OCSP responder: a required part is missing")
	}
	if c.Key == "" {
		c.Key = ca.ECP256
	}
	if c.Life == 0 {
		c.Life = DefaultLife
	}
	if c.Life < MinLife || c.Life > MaxLife || c.Life%time.Second != 0 {
		return nil, fmt.Errorf("OCSP responder: life of an answer %s: want whole seconds between %s and %s", c.Life, MinLife, MaxLife)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	issuer, err := newIssuer(c.Issuing)
	if err != nil {
		return nil, err
	}
	part := func() *trouble { return &trouble{log: c.Log, now: c.Now} }
	return &Responder{
		c: c, issuer: issuer, cache: newStatusCache(c.Life, maxCached),
		signers:   &signers{c: c, trouble: part(), ending: part()},
		following: part(), records: part(), answered: part(),
		reading: make(chan struct{}, readers), signing: make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		nudge: make(chan struct{}, 1),
	}, nil
}

// Nudge asks for a look at the audit log at once. It never blocks.
func (r *Responder) Nudge() {
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}

// Refresh follows the audit log to its end, makes a signer when one is due, and makes
// the answers anew that are. What does not work does not keep the rest from being
// done.
func (r *Responder) Refresh(ctx context.Context) error {
	return errors.Join(r.follow(ctx), r.signers.refresh(ctx), r.renew(ctx))
}

// Run keeps signer and answers fresh until the context ends.
func (r *Responder) Run(ctx context.Context) {
	var clocks sync.WaitGroup
	defer clocks.Wait()
	clocks.Go(func() { every(ctx, pollInterval, r.nudge, func() { _ = r.follow(ctx) }) })
	clocks.Go(func() { every(ctx, time.Second, nil, func() { _ = r.renew(ctx) }) })
	clocks.Go(func() { r.signers.run(ctx) })
}

// every calls do at an interval, and when woken. What do meets it says itself.
func every(ctx context.Context, interval time.Duration, wake <-chan struct{}, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-wake:
		}
		do()
	}
}

// Respond answers a request in DER. It never fails: what cannot be said is refused
// in the words of the protocol.
func (r *Responder) Respond(ctx context.Context, request []byte) Answer {
	req, err := ParseRequest(request)
	if err != nil {
		return Answer{DER: []byte(refusedMalformed)}
	}
	for _, id := range req.IDs {
		if !r.issuer.issued(id) {
			return Answer{DER: []byte(refusedUnauthorized)}
		}
	}
	now := r.c.Now()
	if len(req.IDs) == 1 && req.Nonce == nil {
		if a, asOf, ok := r.cache.answer(req.IDs[0], now); ok {
			return Answer{DER: wrap(a.body, a.by.cert.Raw), ThisUpdate: asOf, NextUpdate: a.next}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := r.sign(ctx, req)
	switch {
	case errors.Is(err, errLater):
		return Answer{DER: []byte(refusedTryLater)}
	case err != nil:
		r.answered.note("answering OCSP", err)
		return Answer{DER: []byte(refusedInternal)}
	}
	r.answered.over()
	return answer
}
