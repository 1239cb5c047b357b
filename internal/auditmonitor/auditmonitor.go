// Package auditmonitor verifies the audit log while the portal runs, signs its end at
// intervals ([audit.Checkpoint]), and forwards every entry to targets that the portal's
// administrators cannot change.
//
// It signs no chain that does not verify, and counts an entry as forwarded only when
// its receiver has read it. Cursors in the store survive restarts, so that a receiver
// that is down for hours misses nothing; it may get an entry twice. [Verify] says what
// no verification on this machine can detect.
//
// Messages follow RFC 5424 (syslog) over TLS (RFC 5425); files contain one line of JSON
// for each entry.
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

// Defaults and intervals.
const (
	// DefaultCheckpointEvery is the default of Config.CheckpointEvery.
	DefaultCheckpointEvery = 10 * time.Minute

	// verifyEvery is how often new entries are verified.
	verifyEvery = time.Minute

	// fullEvery is how often the whole chain is verified, and fullWhileBroken how often
	// while it is broken, because it may be repaired.
	fullEvery       = 24 * time.Hour
	fullWhileBroken = time.Hour

	// leaseFor is how long a replica that vanished keeps its cursors.
	leaseFor = 90 * time.Second
)

// Config configures a [Monitor]. Store is required.
type Config struct {
	Store Store

	// Key returns the signing key and the serial of its certificate. After an error,
	// which is logged, no checkpoint is made. Nil: no checkpoints.
	Key func(ctx context.Context) (key crypto.Signer, serial string, err error)

	// Certified checks the key of a checkpoint; see [Verify].
	Certified Certified

	// Node names this replica in checkpoints.
	Node string

	// CheckpointEvery is the time between two checkpoints. Default
	// DefaultCheckpointEvery.
	CheckpointEvery time.Duration

	// Targets are where entries are forwarded.
	Targets []Target

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Monitor verifies, signs and forwards the audit log. Several replicas share the work.
type Monitor struct {
	c      Config
	holder string
}

// New checks the configuration. It reads nothing.
func New(c Config) (*Monitor, error) {
	if c.Store == nil {
		return nil, errors.New("audit monitor: store is missing")
	}
	if c.CheckpointEvery < 0 {
		return nil, fmt.Errorf("audit monitor: checkpoint every %v", c.CheckpointEvery)
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

// Run works until the context ends, and then signs what is new since the last
// checkpoint.
func (m *Monitor) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, target := range m.c.Targets {
		workers.Go(func() { m.forward(ctx, target) })
	}
	workers.Go(func() { m.watch(ctx) })
	workers.Wait()
}

// State is the state of the audit log over all replicas.
type State struct {
	Verification audit.Verification
	Head         audit.Head
	Checkpoint   audit.Checkpoint // the newest; zero before the first
	Cursors      []audit.Cursor
}

// Forwarders lists the cursors of targets.
func (s State) Forwarders() []audit.Cursor {
	return slices.DeleteFunc(slices.Clone(s.Cursors), func(r audit.Cursor) bool { return r.Name == verifyCursor })
}

// Behind is the number of entries after a cursor.
func (s State) Behind(r audit.Cursor) int64 { return max(0, s.Head.Seq-r.Seq) }

// StateOf returns the state of the audit log in a store.
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

// State returns the state of the audit log.
func (m *Monitor) State(ctx context.Context) (State, error) { return StateOf(ctx, m.c.Store) }

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
