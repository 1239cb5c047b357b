package web

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// rateLimitHandler drops log records above linesPerSecond, so that clients sending
// garbage cannot fill the disk.
type rateLimitHandler struct {
	slog.Handler
	budget *lineBudget
}

// linesPerSecond is how many records pass in a second.
const linesPerSecond = 10

type lineBudget struct {
	mu      sync.Mutex
	second  int64
	lines   int
	dropped int
	now     func() time.Time
}

// LimitLines returns a handler that passes ten records a second on to h, and counts what
// it dropped on the next one.
func LimitLines(h slog.Handler, now func() time.Time) slog.Handler {
	return rateLimitHandler{Handler: h, budget: &lineBudget{now: now}}
}

// Handle drops a record that is over the budget, and counts what it dropped on
// the next one that is not.
func (h rateLimitHandler) Handle(ctx context.Context, r slog.Record) error {
	dropped, ok := h.budget.take()
	if !ok {
		return nil
	}
	if dropped > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("dropped", dropped))
	}
	return h.Handler.Handle(ctx, r)
}

func (b *lineBudget) take() (dropped int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if second := b.now().Unix(); second != b.second {
		b.second, b.lines = second, 0
	}
	if b.lines >= linesPerSecond {
		b.dropped++
		return 0, false
	}
	b.lines++
	dropped, b.dropped = b.dropped, 0
	return dropped, true
}
