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
	most := []int{s.c.Tries, 2 * s.c.Tries, 2 * SessionTries}
	if threshold > 0 {
		most = deal(max(1, threshold-1), most)
	} else {
		window = 0
	}
	window = max(s.c.Window, window)
	now := budgets{perAccount(most[0], window), perAccount(most[1], window), perAccount(most[2], window)}
	s.account.Store(&now)
	return now.strangers.Tries
}

// deal hands out n tries, one each in turn, until all have what they want.
func deal(n int, want []int) []int {
	got := make([]int, len(want))
	for given := true; given; {
		given = false
		for i := range want {
			if n > 0 && got[i] < want[i] {
				got[i]++
				n--
				given = true
			}
		}
	}
	return got
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
