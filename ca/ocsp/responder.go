package ocsp

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"certportal/ca"
)

// Default and bounds of the life of an answer. RFC 6960 leaves them open; public CAs that
// issue mail certificates use 8 hours to 10 days.
const (
	DefaultLife = 8 * time.Hour
	MinLife     = time.Hour
	MaxLife     = 240 * time.Hour
)

const (
	// unknownLife is the maximum life of an answer with the state unknown: the
	// certificate may be signed soon after.
	unknownLife = 5 * time.Minute

	// patience is how long a request waits for a free place and for the store.
	patience = 2 * time.Second

	// readers bounds how many requests read the store at a time, so that a client that
	// asks for random serials does not use up the database connections.
	readers = 4

	// renewals bounds how many answers are renewed per second.
	renewals = 256
)

// Config configures a Responder. Store, Issuing and Certify are required.
type Config struct {
	Store   Store
	Name    string            // of the authority in the store; default ca.FirstAuthority
	Issuing *x509.Certificate // the CA for whose certificates it answers

	// Certify records and signs the certificate of a new key, as described by
	// ca.ResponderConfig. It is called about every two weeks.
	Certify func(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error)

	// Hold says why nothing may be signed on this machine now: its clock is wrong. What is
	// kept is still answered. Optional.
	Hold func() error

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

	reading, signing             chan struct{} // semaphores
	nudge                        chan struct{}
	following, records, answered *trouble
	asking                       *trouble // not one of the answers'

	followMu sync.Mutex // guards begun and position
	begun    bool
	position int64 // last audit entry processed
}

// Answer is the response to one request.
type Answer struct {
	DER []byte // an OCSPResponse, also for an error

	// ThisUpdate and NextUpdate bound the time for which an HTTP cache may serve the
	// answer. Both are zero for an answer that must not be cached: one with a nonce or
	// an error.
	ThisUpdate, NextUpdate time.Time
}

// New checks the configuration. It reads and signs nothing; Refresh and Run do.
func New(c Config) (*Responder, error) {
	if c.Store == nil || c.Issuing == nil || c.Certify == nil {
		return nil, errors.New("OCSP responder: a required part is missing")
	}
	c.Name, c.Key = cmp.Or(c.Name, ca.FirstAuthority), cmp.Or(c.Key, ca.ECP256)
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
		following: part(), records: part(), answered: part(), asking: part(),
		reading: make(chan struct{}, readers), signing: make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		nudge: make(chan struct{}, 1),
	}, nil
}

// Nudge makes Run follow the audit log at once. It never blocks.
func (r *Responder) Nudge() {
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}

// Refresh follows the audit log to its end, makes a signer if one is due, renews the
// answers that are due, and notes what was asked. An error of one step does not stop the others.
func (r *Responder) Refresh(ctx context.Context) error {
	return errors.Join(r.follow(ctx), r.signers.refresh(ctx), r.renew(ctx), r.writeQuestions(ctx))
}

// Run follows the audit log and renews signer and answers until the context ends.
func (r *Responder) Run(ctx context.Context) {
	var clocks sync.WaitGroup
	defer clocks.Wait()
	clocks.Go(func() { every(ctx, pollInterval, r.nudge, func() { _ = r.follow(ctx) }) })
	clocks.Go(func() { every(ctx, time.Second, nil, func() { _ = r.renew(ctx) }) })
	clocks.Go(func() { every(ctx, noteEvery, nil, func() { _ = r.writeQuestions(ctx) }) })
	clocks.Go(func() { r.signers.run(ctx) })
}

// every calls do at an interval, and when woken. do logs its own errors.
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

// Respond answers a request in DER. Errors become OCSP error responses (RFC 6960 section
// 4.2.1).
func (r *Responder) Respond(ctx context.Context, request []byte) Answer {
	return respond(ctx, request, r)
}

// respond lets the responder answer that issued all certificates of a request. One answer
// has one signer, so that a request about certificates of two CAs is refused.
func respond(ctx context.Context, request []byte, all ...*Responder) Answer {
	req, err := ParseRequest(request)
	if err != nil {
		return Answer{DER: []byte(refusedMalformed)}
	}
	for _, r := range all {
		if !slices.ContainsFunc(req.IDs, func(id ID) bool { return !r.issuer.issued(id) }) {
			return r.respond(ctx, req)
		}
	}
	return Answer{DER: []byte(refusedUnauthorized)}
}

// respond answers a request about certificates of this CA.
func (r *Responder) respond(ctx context.Context, req Request) Answer {
	now := r.c.Now()
	if len(req.IDs) == 1 && req.Nonce == nil {
		if a, asOf, ok := r.cache.answer(req.IDs[0], now); ok {
			return Answer{DER: wrap(a.body, a.by.certs), ThisUpdate: asOf, NextUpdate: a.next}
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
