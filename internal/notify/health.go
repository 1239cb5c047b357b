package notify

import (
	"log/slog"
	"sync"
)

// health logs when a part begins to fail and when it works again, and not each failure
// in between.
type health struct {
	log *slog.Logger

	mu      sync.Mutex
	failing map[string]bool
}

// fails records that a part does not work.
func (h *health) fails(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing == nil {
		h.failing = make(map[string]bool)
	}
	if h.failing[part] {
		h.log.Debug("mail still fails", "part", part, "err", err)
		return
	}
	h.failing[part] = true
	h.log.Error("mail fails, messages wait", "part", part, "err", err)
}

// works records that a part works.
func (h *health) works(part string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.failing[part] {
		return
	}
	delete(h.failing, part)
	h.log.Info("mail works again", "part", part)
}

// The parts.
const (
	partServer    = "server"
	partDirectory = "directory"
	partOutbox    = "outbox"
)
