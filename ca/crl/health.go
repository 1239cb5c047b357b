package crl

import "time"

// Level is how much of a list's life is over. A list that is renewed in time stays Fresh;
// that of a root whose key is kept offline may reach the other levels.
type Level int

// The levels, in the order in which they are reached.
const (
	Fresh  Level = iota
	Half         // 50 percent of the life is over
	Late         // 75 percent
	Ending       // 95 percent
	Ended        // nextUpdate is past: clients reject it
)

// String gives the name of the level, for the log.
func (l Level) String() string {
	return [...]string{"fresh", "half", "late", "ending", "ended"}[l]
}

// levelOf gives the level of a list; Ended for nil.
func levelOf(l *List, now time.Time) Level {
	if l == nil || !now.Before(l.NextUpdate) {
		return Ended
	}
	life, age := l.NextUpdate.Sub(l.ThisUpdate), now.Sub(l.ThisUpdate)
	switch {
	case age >= life/100*95:
		return Ending
	case age >= life/4*3:
		return Late
	case age >= life/2:
		return Half
	}
	return Fresh
}

// Health is the state of one list, as this replica sees it.
type Health struct {
	Issuer string
	Delta  bool
	List   List // without DER; zero when there is none
	Size   int  // bytes of DER
	Level  Level
	Next   time.Time // when the next is due by the clock

	// Waiting reports whether a revocation was in no list yet at the last check, seconds
	// ago.
	Waiting bool

	Trouble string    // the last error in words, empty when all is well
	Since   time.Time // when that trouble began

	Targets []TargetHealth

	// Builds and Failures count the builds of this process for the issuer, of either
	// kind of list, that succeeded and that did not.
	Builds, Failures uint64
}

// TargetHealth is the state of one list at one target.
type TargetHealth struct {
	Name    string
	Number  int64     // of the list at the target; 0 while that is not known
	At      time.Time // when it was copied
	Trouble string    // why the newest list is not there, empty when it is
}

// Health gives the state of the lists: of each issuer the complete one and, if enabled,
// the delta list. CAs that have ended are left out: none of their lists is missed. It reads memory only and never waits.
func (p *Publisher) Health() []Health {
	var all []Health
	for _, u := range p.updaters() {
		if u.over() {
			continue
		}
		for _, delta := range u.kinds() {
			all = append(all, p.health(u, delta))
		}
	}
	return all
}

func (p *Publisher) health(u *updater, delta bool) Health {
	h := Health{Issuer: u.a.Name, Delta: delta}
	held := u.list(delta)
	h.Level = levelOf(held, p.c.Now())
	if held != nil {
		h.List, h.Size, h.Next = *held, len(held.DER), u.next(held)
		h.List.DER = nil
	}
	u.mu.Lock()
	h.Waiting, h.Trouble, h.Since = u.waiting, u.trouble, u.since
	h.Builds, h.Failures = u.builds, u.failures
	u.mu.Unlock()
	for _, c := range p.copiers {
		if !c.target.Takes(u.a.Name) {
			continue
		}
		h.Targets = append(h.Targets, c.health(u.a.Name, delta))
	}
	return h
}

// lastDay is the time before nextUpdate from which the log level is ERROR in any case: an
// administrator has a day to repair what prevents the next list.
const lastDay = 24 * time.Hour

// lookAhead is added to lastDay, so that the log record comes before the last day begins.
const lookAhead = time.Hour

// Warn logs, once for each level, the lists that reached it. It reads the clock and memory
// only, so that it works while a builder hangs.
func (p *Publisher) Warn() {
	for _, u := range p.updaters() {
		if u.over() {
			continue
		}
		for _, delta := range u.kinds() {
			p.warn(u, delta)
		}
	}
}

func (p *Publisher) warn(u *updater, delta bool) {
	h := p.health(u, delta)
	if delta && h.List.Number == 0 {
		return
	}
	left := h.List.NextUpdate.Sub(p.c.Now())
	grave := h.Level >= Late || !delta && h.Level >= Half && left <= lastDay+lookAhead
	step := warning{level: h.Level, grave: grave}
	if u.warned(delta, step) {
		return
	}
	u.mu.Lock()
	message := "revocation list gets old and is not renewed: at its end every certificate is refused"
	switch {
	case delta:
		message = "delta revocation list gets old and is not renewed: at its end revocations are seen later"
	case u.away:
		message = "revocation list gets old: bring the key of its CA back for a moment"
	}
	u.mu.Unlock()
	say := p.c.Log.Warn
	if grave {
		say = p.c.Log.Error
	}
	say(message, "issuer", h.Issuer, "delta", delta,
		"level", h.Level.String(), "number", h.List.Number, "ends", h.List.NextUpdate, "trouble", h.Trouble)
}

// warning is what was last logged about a list.
type warning struct {
	level Level
	grave bool
}

// warned reports whether step needs no new log record, and remembers it.
func (u *updater) warned(delta bool, step warning) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := u.said[delta]
	u.said[delta] = step
	return step.level == Fresh || step == last || step.level < last.level
}
