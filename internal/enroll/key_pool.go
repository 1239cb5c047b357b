package enroll

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"certportal/ca"
	"certportal/internal/portal"
)

// KeyPool hands out private keys. RSA keys take a good part of a second to make,
// so a bounded number is made ahead, by one worker of low priority; when the
// pool is empty, keys are made on demand, as many at once as there are
// processors.
//
// A key leaves the pool for one certificate and lives in memory only. One that was not
// used goes back.
type KeyPool struct {
	kind  ca.KeyKind
	ready chan crypto.Signer
	slots chan struct{} // bounds keys being made on demand
	users chan struct{} // bounds enrolments in progress
	log   *slog.Logger

	refused atomic.Uint64 // enrolments, because users was full

	mu    sync.Mutex
	makes int           // keys being made on demand now
	quiet chan struct{} // closed while none is
}

// NewKeyPool makes an empty pool that keeps up to size keys ready; size 0 makes
// every key on demand. Run fills it.
func NewKeyPool(kind ca.KeyKind, size int, log *slog.Logger) *KeyPool {
	quiet := make(chan struct{})
	close(quiet)
	return &KeyPool{
		kind: kind, log: log, quiet: quiet,
		ready: make(chan crypto.Signer, size),
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		users: make(chan struct{}, usersEach*runtime.GOMAXPROCS(0)),
	}
}

// usersEach is how many enrolments may be in progress for each processor. A key with RSA 2048
// takes 0.15 s of one: the last of them waits less than three seconds.
const usersEach = 16

// Limit sets how many enrolments with keys of the pool may be in progress: those that wait for
// one and those that are signed and recorded. More are refused at once (fault L9): they would
// wait longer than people do, and slow down everything else. A request that was sent to a CA
// which the portal does not run counts there ([Upstream.InFlight]), not here. The default is
// 16 for each processor. Limit must come before the first use.
func (p *KeyPool) Limit(n int) *KeyPool {
	p.users = make(chan struct{}, n)
	return p
}

// enter begins an enrolment without waiting, or returns [portal.ErrBusy]. leave must be called;
// calls after the first do nothing.
func (p *KeyPool) enter() (leave func(), err error) {
	select {
	case p.users <- struct{}{}:
		return sync.OnceFunc(func() { <-p.users }), nil
	default:
		p.refused.Add(1)
		return nil, portal.ErrBusy
	}
}

// Load is how busy a pool is.
type Load struct {
	InProgress int    // enrolments with keys of the pool
	Limit      int    // of these
	Refused    uint64 // because of the limit, since the start
}

// Load counts the enrolments in progress and those that were refused.
func (p *KeyPool) Load() Load {
	return Load{InProgress: len(p.users), Limit: cap(p.users), Refused: p.refused.Load()}
}

// Ready is the number of keys waiting.
func (p *KeyPool) Ready() int { return len(p.ready) }

// TakeReady gives a key that was made ahead; false when there is none.
func (p *KeyPool) TakeReady() (crypto.Signer, bool) {
	select {
	case key := <-p.ready:
		return key, true
	default:
		return nil, false
	}
}

// GiveBack takes a key back that no certificate was asked for; nil does nothing. Where
// the pool is full, and nothing waits for a key, it is dropped.
func (p *KeyPool) GiveBack(key crypto.Signer) {
	if key == nil {
		return
	}
	select {
	case p.ready <- key:
	default:
	}
}

// Take gives a key, made ahead or now. It waits for a free processor until the
// context ends.
func (p *KeyPool) Take(ctx context.Context) (crypto.Signer, error) {
	if key, ok := p.TakeReady(); ok {
		return key, nil
	}
	select {
	case key := <-p.ready:
		return key, nil
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to make a key: %w", ctx.Err())
	}
	defer func() { <-p.slots }()
	p.begin()
	defer p.end()
	key, err := p.kind.Generate()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	// The maker may have gone away meanwhile; the key is good for the next one.
	if err := ctx.Err(); err != nil {
		p.GiveBack(key)
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// Run keeps the pool full until the context ends. It pauses while a key is
// made for a waiting request.
func (p *KeyPool) Run(ctx context.Context) {
	if cap(p.ready) == 0 {
		return
	}
	// The thread of this goroutine yields to all others and ends with it.
	runtime.LockOSThread()
	lowerThreadPriority(p.log)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.waitQuiet():
		}
		key, err := p.kind.Generate()
		if err != nil {
			p.log.Error("making a key ahead", "err", err)
			return
		}
		select {
		case p.ready <- key:
		case <-ctx.Done():
			return
		}
	}
}

func (p *KeyPool) waitQuiet() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.quiet
}

func (p *KeyPool) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.makes == 0 {
		p.quiet = make(chan struct{})
	}
	p.makes++
}

func (p *KeyPool) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.makes--; p.makes == 0 {
		close(p.quiet)
	}
}
