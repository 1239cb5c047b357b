package store

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"sync"
	"time"

	"certportal/internal/audit"
)

// How many entries about refusals of one kind one person can cause within a time. What
// exceeds that is counted, and one entry says how many more there were.
const (
	floodEntries = 50
	floodWindow  = time.Hour
)

// floodKey is who caused entries of which action.
type floodKey struct {
	action audit.Action
	actor  string
}

// flood is what one person caused in one window: the last entry that was left out, and
// how many.
type flood struct {
	since   time.Time
	written int
	more    int
	last    audit.Entry
}

// floodGate keeps a signed-in person from filling the disk with refusals. It counts in
// the memory of this process: each replica lets so many through.
type floodGate struct {
	mu     sync.Mutex
	floods map[floodKey]flood
}

// pass says whether an entry is to be written. Entries that record an act always are.
func (g *floodGate) pass(e audit.Entry) bool {
	if e.Actor == "" || !e.Action.Refuses() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := floodKey{e.Action, e.Actor}
	f, ok := g.floods[key]
	if !ok {
		f.since = e.At
	}
	if f.written < floodEntries {
		f.written++
	} else {
		f.more++
		f.last = e
	}
	if g.floods == nil {
		g.floods = map[floodKey]flood{}
	}
	g.floods[key] = f
	return f.more == 0
}

// take removes the floods whose window is over, and returns the entry of each
// that left some out.
func (g *floodGate) take(now time.Time) []audit.Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	var entries []audit.Entry
	for key, f := range g.floods {
		if now.Sub(f.since) < floodWindow {
			continue
		}
		delete(g.floods, key)
		if f.more > 0 {
			e := f.last
			e.At, e.Detail = now, maps.Clone(e.Detail)
			if e.Detail == nil {
				e.Detail = map[string]string{}
			}
			e.Detail["more"] = strconv.Itoa(f.more)
			entries = append(entries, e)
		}
	}
	return entries
}

// NoteFloods writes, for each person who caused more refusals within the last hour than
// the log takes, one entry that says how many more there were: the last of them. It
// returns how many it wrote.
func (db AuditLog) NoteFloods(ctx context.Context, now time.Time) (int, error) {
	entries := db.floods.take(now)
	var errs []error
	for _, e := range entries {
		errs = append(errs, db.write(ctx, "noting a flood", func(ctx context.Context, t *tx) error { return t.append(ctx, e) }))
	}
	return len(entries), errors.Join(errs...)
}
