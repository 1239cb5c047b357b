package store

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"certportal/internal/audit"
)

// How many entries about refusals of one kind a person can cause about one person within
// a time, and about all. What exceeds that is counted, and one entry says how many more
// there were.
const (
	floodEntries  = 50
	floodOfActor  = 20 * floodEntries
	floodWindow   = time.Hour
	floodOverflow = "more" // detail with the number of entries left out
)

// floodKey is who caused entries of which action, and about which person: entries about
// one person must not hide those about another.
type floodKey struct {
	action audit.Action
	actor  string
	person string
	all    bool // about all persons together
}

// flood is what was caused in one window: how many entries were written, how many left
// out, and the last of these.
type flood struct {
	since   time.Time
	written int
	more    int
	last    audit.Entry
}

// floodGate keeps a signed-in person, or strangers who guess one person's password, from
// filling the disk with refusals. It counts in the memory of this process: each replica
// lets so many through.
type floodGate struct {
	mu     sync.Mutex
	floods map[floodKey]flood
}

// pass says whether an entry is to be written. Entries that record an act always are.
func (g *floodGate) pass(e audit.Entry) bool {
	if e.Actor == "" && e.Person == "" || !e.Action.Refuses() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.floods == nil {
		g.floods = map[floodKey]flood{}
	}
	one := floodKey{action: e.Action, actor: e.Actor, person: e.Person}
	if !g.under(one, floodEntries, e) {
		return false
	}
	// Devices have no name of their own: all together are no one's flood.
	return e.Role == "" || g.under(floodKey{action: e.Action, actor: e.Actor, all: true}, floodOfActor, e)
}

// under counts an entry, and reports whether it is within a limit.
func (g *floodGate) under(key floodKey, limit int, e audit.Entry) bool {
	f, ok := g.floods[key]
	if !ok {
		f.since = e.At
	}
	within := f.written < limit
	if within {
		f.written++
	} else {
		f.more++
		f.last = e
	}
	g.floods[key] = f
	return within
}

// take removes the floods that began before a time and returns them.
func (g *floodGate) take(before time.Time) map[floodKey]flood {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := map[floodKey]flood{}
	for key, f := range g.floods {
		if !f.since.After(before) {
			delete(g.floods, key)
			taken[key] = f
		}
	}
	return taken
}

// giveBack adds a flood that could not be noted to what came since.
func (g *floodGate) giveBack(key floodKey, f flood) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if since, ok := g.floods[key]; ok {
		f.written += since.written
		f.more += since.more
		if since.more > 0 {
			f.last = since.last
		}
	}
	g.floods[key] = f
}

// NoteFloods writes, for each person who caused more refusals within the last hour than
// the log takes, one entry that says how many more there were: the last of them. It
// returns how many it wrote. What cannot be written is kept for the next time.
func (db AuditLog) NoteFloods(ctx context.Context, now time.Time) (int, error) {
	return db.noteFloods(ctx, now, now.Add(-floodWindow))
}

// NoteAllFloods is NoteFloods before the program ends, when the hour is not over.
func (db AuditLog) NoteAllFloods(ctx context.Context, now time.Time) (int, error) {
	return db.noteFloods(ctx, now, now)
}

func (db AuditLog) noteFloods(ctx context.Context, now, before time.Time) (int, error) {
	var errs []error
	noted := 0
	for key, f := range db.floods.take(before) {
		if f.more == 0 {
			continue
		}
		e := f.last
		e.At, e.Detail = now, withDetail(e.Detail, floodOverflow, strconv.Itoa(f.more))
		err := db.write(ctx, "noting a flood", func(ctx context.Context, t *tx) error { return t.append(ctx, e) })
		if err != nil {
			db.floods.giveBack(key, f)
			errs = append(errs, err)
			continue
		}
		noted++
	}
	return noted, errors.Join(errs...)
}
