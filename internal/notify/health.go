package notify

import (
	"log/slog"
	"sync"
)

// health logs that something began to fail and that it works again, and not each
// failure between: a server that is down for a night is two lines.
type health struct {
	log *slog.Logger

	mu      sync.Mutex
	failing map[string]bool
}

// fails notes that a part is out of order.
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
	h.log.Error("mail fails, letters wait", "part", part, "err", err)
}

// works notes that a part did its work.
func (h *health) works(part string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.failing[part] {
		return
	}
	delete(h.failing, part)
	h.log.Info("mail works again", "part", part)
}

// The parts whose failures are told apart.
const (
	partServer    = "server"
	partDirectory = "directory"
	partOutbox    = "outbox"
)
