package replicas

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// watch counts what the people behind a balancer see.
type watch struct {
	mu       sync.Mutex
	requests int
	failed   int
	samples  map[string]int // of failures
	since    time.Time      // when the failures without a success in between began
	longest  time.Duration
}

// done counts one request; failure is empty for an answer that a person can use.
func (w *watch) done(began time.Time, failure string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	if failure == "" {
		if !w.since.IsZero() {
			w.longest, w.since = max(w.longest, time.Since(w.since)), time.Time{}
		}
		return
	}
	w.failed++
	if w.samples == nil {
		w.samples = make(map[string]int)
	}
	w.samples[failure]++
	if w.since.IsZero() {
		w.since = began
	}
}

// unusable counts a page that a person cannot go on from, although it came as any other.
func (w *watch) unusable(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed++
	if w.samples == nil {
		w.samples = make(map[string]int)
	}
	w.samples[err.Error()]++
}

// errors is how many requests failed.
func (w *watch) errors() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// wrong returns the failures that have none of the texts.
func (w *watch) wrong(texts ...string) (wrong []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for sample := range w.samples {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(sample, text) }) {
			wrong = append(wrong, sample)
		}
	}
	return wrong
}

// row is the row of the table in docs/replicas.md.
func (w *watch) row(what string, more ...any) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	columns := append([]any{what, w.requests, w.failed, w.longest.Round(10 * time.Millisecond)}, more...)
	texts := make([]string, len(columns))
	for n, c := range columns {
		texts[n] = fmt.Sprint(c)
	}
	row := "| " + strings.Join(texts, " | ") + " |"
	shown := 0
	for sample, times := range w.samples {
		if shown++; shown > 10 {
			break
		}
		row += fmt.Sprintf("\n    %d × %s", times, sample)
	}
	return row
}
