package signin

import (
	"encoding/hex"
	"time"

	"certportal/internal/portal"
)

// SessionTries is how many wrong passwords one session has in the window of sign-in
// tries, when its person is asked for the password again.
const SessionTries = 5

// budgets are the wrong passwords of one account in a rolling window. Which of them a
// try counts against depends on what the client shows, so that the tries of strangers
// do not pause the person's own browser. Their sum stays below the directory's lockout
// threshold.
type budgets struct {
	strangers Limit // clients that show nothing; the setting
	known     Limit // all known browsers of the person together
	again     Limit // all sessions of the person together
}

// StayBelow keeps the tries of an account below the number at which the directory
// itself locks it, counted over the directory's own window when that is longer
// (AD: lockoutThreshold, lockOutObservationWindow). A threshold of 0 means that the
// directory locks no account. It returns the tries that strangers have now; with a
// threshold of 1 that is one, which no limit can stay below.
func (s *Service) StayBelow(threshold int, window time.Duration) int {
	if threshold == 0 {
		window = 0
	}
	window = max(s.c.Window, window)
	strangers, known, again := ShareTries(threshold, s.c.Tries)
	s.account.Store(&budgets{perAccount(strangers, window), perAccount(known, window), perAccount(again, window)})
	return strangers
}

// ShareTries returns how many wrong passwords of one account strangers, known browsers
// and sessions may have, all together fewer than the directory's lockout threshold.
// Strangers have the number of the setting at most, the others twice theirs, because a
// person has more than one browser. Under a low threshold each gets one in turn.
func ShareTries(threshold, tries int) (strangers, known, again int) {
	want := [3]int{tries, 2 * tries, 2 * SessionTries}
	if threshold == 0 {
		return want[0], want[1], want[2]
	}
	got, left := [3]int{}, max(1, threshold-1)
	for left > 0 && got != want {
		for i := range want {
			if left > 0 && got[i] < want[i] {
				got[i]++
				left--
			}
		}
	}
	return got[0], got[1], got[2]
}

// perAccount uses a rolling window: in a fixed one, twice the tries fit around its end,
// and one now and then never ends.
func perAccount(tries int, window time.Duration) Limit {
	return Limit{Tries: tries, Window: window, Rolling: true}
}

// budget is what a try counts against: all counters must allow it.
type budget struct {
	counters []counter
	network  bool // the address counts too
	last     bool // no other budget is asked when this one is used up
}

type counter struct {
	key   string
	limit Limit
}

// budgetsOf lists the budgets of a try on an account, in the order in which they are
// used. Only a session or a cookie of that same account opens more than strangers have.
// A session ends in its own budget: its person can sign out.
func (s *Service) budgetsOf(account string, by portal.Actor) []budget {
	b := *s.account.Load()
	strangers := counter{accountKey(account), b.strangers}
	known := counter{"known browsers of " + account, b.known}
	again := counter{"sessions of " + account, b.again}
	var all []budget
	if by.Session != ([32]byte{}) && string(by.Person) == account {
		own := counter{"session " + hex.EncodeToString(by.Session[:]), perAccount(SessionTries, b.again.Window)}
		for _, shared := range []counter{again, known, strangers} {
			all = append(all, budget{counters: []counter{own, shared}})
		}
		all[len(all)-1].last = true
	}
	if own, ok := s.known.of(by.Browser, account, s.c.Now()); ok {
		lost := counter{"browser " + own.id(), Limit{Tries: s.c.Tries, Window: KnownLife, Rolling: true}}
		all = append(all, budget{counters: []counter{lost, known}})
	}
	return append(all, budget{counters: []counter{strangers}, network: true, last: true})
}

// open reports whether the limits allow anything at all.
func (b budget) open() bool {
	for _, c := range b.counters {
		if c.limit.Tries == 0 {
			return false
		}
	}
	return true
}
