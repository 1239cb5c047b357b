package testkit

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// Log keeps what a logger writes, as text, one line per record. It is safe for
// concurrent use. When the test fails, the log is added to its output.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// NewLog returns an empty log.
func NewLog(t testing.TB) *Log {
	l := &Log{}
	t.Cleanup(func() {
		if text := l.String(); t.Failed() && text != "" {
			t.Logf("log:\n%s", text)
		}
	})
	return l
}

// Logger returns a logger that writes records of level info and above.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// DebugLogger returns a logger that writes all records.
func (l *Log) DebugLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Take returns what was written since the last Take, and empties the log.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// Count returns how often a text occurs.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }

// Lines returns the number of records.
func (l *Log) Lines() int { return l.Count("\n") }

// Await polls until a text was logged.
func (l *Log) Await(t testing.TB, text string) {
	t.Helper()
	Eventually(t, "log line with "+text, func() bool { return l.Count(text) > 0 })
}
