package crl

import "time"

// Level is how much of a list's life is over. A list that is renewed in time never
// gets beyond Fresh, or it is one whose key is in a safe.
type Level int

// The levels, in the order in which they are reached.
const (
	Fresh  Level = iota
	Half         // 50 percent of the life is over
	Late         // 75 percent
	Ending       // 95 percent
	Ended        // nobody accepts it any more
)

// String names the level in the log.
func (l Level) String() string {
	return [...]string{"fresh", "half", "late", "ending", "ended"}[l]
}

// levelOf tells how much of the life of a list is over; that of no list is.
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

// Health is how one list stands, on the replica that answers.
type Health struct {
	Issuer string
	Delta  bool
	List   List // without DER; zero when there is none
	Size   int  // bytes of DER
	Level  Level
	Next   time.Time // when the next is due by the clock

	// Waiting says that a revocation stands in no list yet, as far as was seen at
	// the last look, seconds ago.
	Waiting bool

	Trouble string    // the last error in words, empty when all is well
	Since   time.Time // when that trouble began

	Targets []TargetHealth

	// Builds and Failures count the turns in which this process made lists of the
	// issuer, of either kind, and in which it could not.
	Builds, Failures uint64
}

// TargetHealth is how a place stands that a list is copied to.
type TargetHealth struct {
	Name    string
	Number  int64     // of the list that stands there; 0 while that is not known
	At      time.Time // when it was brought there
	Trouble string    // why the newest is not there, empty when it is
}

// Health tells how the lists stand: of each issuer the complete one and, where there
// are such, the delta list. It is told from memory and never waits.
func (p *Publisher) Health() []Health {
	var all []Health
	for _, k := range p.updaters {
		for _, delta := range k.kinds() {
			all = append(all, p.health(k, delta))
		}
	}
	return all
}

func (p *Publisher) health(k *updater, delta bool) Health {
	h := Health{Issuer: k.a.Name, Delta: delta}
	held := k.list(delta)
	h.Level = levelOf(held, p.c.Now())
	if held != nil {
		h.List, h.Size, h.Next = *held, len(held.DER), k.next(held)
		h.List.DER = nil
	}
	k.mu.Lock()
	h.Waiting, h.Trouble, h.Since = k.waiting, k.trouble, k.since
	h.Builds, h.Failures = k.builds, k.failures
	k.mu.Unlock()
	for _, c := range p.copiers {
		h.Targets = append(h.Targets, c.health(k.a.Name, delta))
	}
	return h
}

// lastDay is how long before the end of a list it is a grave matter in any case: a
// day is left to mend what keeps the next one from being made.
const lastDay = 24 * time.Hour

// lookAhead is added to it, so that the word comes before the last day begins.
const lookAhead = time.Hour

// Warn puts into the log, once for each level, what list has outlived it. It looks at
// the clock and at memory alone, so that it speaks up when a builder hangs.
func (p *Publisher) Warn() {
	for _, k := range p.updaters {
		for _, delta := range k.kinds() {
			p.warn(k, delta)
		}
	}
}

func (p *Publisher) warn(k *updater, delta bool) {
	h := p.health(k, delta)
	if delta && h.List.Number == 0 {
		return
	}
	left := h.List.NextUpdate.Sub(p.c.Now())
	grave := h.Level >= Late || !delta && h.Level >= Half && left <= lastDay+lookAhead
	step := warning{level: h.Level, grave: grave}
	if k.warned(delta, step) {
		return
	}
	k.mu.Lock()
	message := "revocation list gets old and is not renewed: at its end every certificate is refused"
	switch {
	case delta:
		message = "delta revocation list gets old and is not renewed: at its end revocations are seen later"
	case k.away:
		message = "revocation list gets old: bring the key of its CA back for a moment"
	}
	k.mu.Unlock()
	say := p.c.Log.Warn
	if grave {
		say = p.c.Log.Error
	}
	say(message, "issuer", h.Issuer, "delta", delta,
		"level", h.Level.String(), "number", h.List.Number, "ends", h.List.NextUpdate, "trouble", h.Trouble)
}

// warning is what was last said of a list.
type warning struct {
	level Level
	grave bool
}

// warned reports whether there is nothing new to say, and remembers what is said.
func (k *updater) warned(delta bool, step warning) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.said[delta]
	k.said[delta] = step
	return step.level == Fresh || step == last || step.level < last.level
}
