// Package audit makes the ledger worth trusting after the fact: it verifies the
// chain and goes on doing so while the portal runs, signs the chain's end at
// intervals, and sends every entry to where the portal's administrators cannot
// change it.
//
// It refuses to seal a chain that does not verify, and to say that an entry was
// delivered before its receiver has read it: readers of the ledger keep their place
// in the store, so that a receiver that is down for hours misses nothing, and may
// get an entry twice. What no check on this machine can find is said in [Verify].
//
// Messages follow RFC 5424 (syslog) over TLS by RFC 5425, files hold one line of
// JSON for each entry.
package auditmonitor

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// What holds where the configuration says nothing.
const (
	// DefaultSealEvery is how long the end of the ledger goes unsigned.
	DefaultCheckpointEvery = 10 * time.Minute

	// checkEvery is how often new entries are verified.
	checkEvery = time.Minute

	// fullEvery is how often the whole chain is verified, and fullWhileBroken
	// how soon after a break somebody may have mended.
	fullEvery       = 24 * time.Hour
	fullWhileBroken = time.Hour

	// holdFor is how long a replica that vanished keeps others from its work.
	leaseFor = 90 * time.Second
)

// Config is what a keeper works with. Records is required.
type Config struct {
	Store Store

	// Key gives the key that seals and the serial of its certificate. An error is
	// logged, and nothing is sealed. Nil: nothing ever is.
	Key func(ctx context.Context) (key crypto.Signer, serial string, err error)

	// Certified tells whether a seal was made by a key that may seal: see [Verify].
	Certified Certified

	// Node names this replica in seals.
	Node string

	// SealEvery is the time between two seals. Default DefaultSealEvery.
	CheckpointEvery time.Duration

	// Targets are where entries are sent.
	Targets []Target

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Keeper verifies, seals and forwards while the portal runs. Several, on replicas,
// share the work.
type Monitor struct {
	c      Config
	holder string
}

// New checks the configuration. Nothing happens before Run.
func New(c Config) (*Monitor, error) {
	if c.Store == nil {
		return nil, errors.New("audit keeper: records are missing")
	}
	if c.CheckpointEvery < 0 {
		return nil, fmt.Errorf("audit keeper: seal every %v", c.CheckpointEvery)
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = DefaultCheckpointEvery
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Monitor{c: c, holder: c.Node + " " + rand.Text()[:8]}, nil
}

// Run works until the context ends, and then seals what came since the last seal.
func (k *Monitor) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, target := range k.c.Targets {
		workers.Go(func() { k.forward(ctx, target) })
	}
	workers.Go(func() { k.watch(ctx) })
	workers.Wait()
}

// State is what a page or a monitor shows.
type State struct {
	Verification audit.Verification
	Head         audit.Head
	Checkpoint   audit.Checkpoint // the newest; zero before the first
	Cursors      []audit.Cursor
}

// Copies are the readers that send entries away.
func (s State) Forwarders() []audit.Cursor {
	return slices.DeleteFunc(slices.Clone(s.Cursors), func(r audit.Cursor) bool { return r.Name == verifyCursor })
}

// Behind is the number of entries that a reader has before it.
func (s State) Behind(r audit.Cursor) int64 { return max(0, s.Head.Seq-r.Seq) }

// StateOf tells how the ledger and its readers are, as all replicas know it.
func StateOf(ctx context.Context, r Store) (State, error) {
	var s State
	var err error
	if s.Verification, err = r.LastVerification(ctx); err != nil {
		return State{}, err
	}
	if s.Cursors, err = r.Cursors(ctx); err != nil {
		return State{}, err
	}
	if s.Checkpoint, err = r.LastCheckpoint(ctx); err != nil && !errors.Is(err, portal.ErrNotFound) {
		return State{}, err
	}
	s.Head, err = r.Head(ctx)
	return s, err
}

// State tells how the ledger and its readers are.
func (k *Monitor) State(ctx context.Context) (State, error) { return StateOf(ctx, k.c.Store) }

// waited reports whether the time passed before the context ended.
func waited(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
