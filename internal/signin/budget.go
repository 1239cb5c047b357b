package signin

import (
	"encoding/hex"
	"time"

	"certportal/internal/portal"
)

// SessionTries is how many wrong passwords one session has in the window of sign-in
// tries, when its person is asked for the password again.
const SessionTries = 5

// FineGrained is the lowest threshold at which a fine-grained password policy, which is
// not read, may lock an account. All tries of an account stay below it.
const FineGrained = 10

// budgets are the wrong passwords of one account in a rolling window. Which of them a
// try counts against depends on what the client shows, so that the tries of strangers
// do not pause the person's own browser. Their sum stays below the directory's lockout
// threshold: the window of each ends only when that of all others does.
type budgets struct {
	strangers Limit         // clients that show nothing; the setting
	known     Limit         // all known browsers of the person together
	again     Limit         // all sessions of the person together
	sum       int           // of the three; 0 when the directory locks no account
	pause     time.Duration // as pages state it
}

// StayBelow keeps the tries of an account below the number at which the directory
// itself locks it, counted over the directory's own window when that is longer
// (AD: lockoutThreshold, lockOutObservationWindow). A threshold of 0 means that the
// directory locks no account. It returns the tries that strangers have now; with a
// threshold of 1 that is one, which no limit can stay below.
func (s *Service) StayBelow(threshold int, window time.Duration) int {
	b := budgets{pause: s.c.Window}
	counted := s.c.Window
	if threshold > 0 {
		b.sum = most(threshold)
		b.pause = max(b.pause, window)
		// The directory's window begins when it answers, the portal's when it asks.
		counted = max(b.pause, window+s.c.Timeout)
	}
	strangers, known, again := ShareTries(threshold, s.c.Tries)
	b.strangers, b.known, b.again = perAccount(strangers, counted), perAccount(known, counted), perAccount(again, counted)
	s.account.Store(&b)
	return strangers
}

// assume is for the time before the directory's policy is known, which lasts when it may
// not be read: all together have no more than the tries of the setting, and three at
// most, in AD's usual window.
func (s *Service) assume() { s.StayBelow(min(s.c.Tries, DefaultTries)+1, 30*time.Minute) }

// most is how many wrong passwords of one account there may be below a threshold.
func most(threshold int) int { return max(1, min(threshold, FineGrained)-1) }

// ShareTries returns how many wrong passwords of one account strangers, known browsers
// and sessions may have, all together fewer than the directory's lockout threshold and
// than FineGrained. Strangers have the number of the setting at most, the others twice
// theirs, because a person has more than one browser. Under a low threshold each gets
// one in turn, except that strangers have two before sessions have one: people mistype
// on a new phone, and a session may use the others' tries.
func ShareTries(threshold, tries int) (strangers, known, again int) {
	want := [3]int{tries, 2 * tries, 2 * SessionTries}
	if threshold == 0 {
		return want[0], want[1], want[2]
	}
	first := [...]int{0, 1, 0, 2, 1, 2}
	got, left := [3]int{}, most(threshold)
	for turn := 0; left > 0 && got != want; turn++ {
		i := turn % len(want)
		if turn < len(first) {
			i = first[turn]
		}
		if got[i] < want[i] {
			got[i]++
			left--
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
	counters []Counter
	network  bool // the address counts too
	last     bool // no other budget is asked when this one is used up
}

// budgetsOf lists the budgets of a try on an account, in the order in which they are
// used. Only a session or a cookie of that same account opens more than strangers have.
// A session ends in its own budget: its person can sign out.
func (s *Service) budgetsOf(account string, by portal.Actor) []budget {
	b := *s.account.Load()
	strangers := Counter{accountKey(account), b.strangers}
	known := Counter{knownKey(account), b.known}
	again := Counter{againKey(account), b.again}
	var all []budget
	if by.Session != ([32]byte{}) && string(by.Person) == account {
		own := Counter{"session " + hex.EncodeToString(by.Session[:]), perAccount(SessionTries, b.again.Window)}
		for _, shared := range []Counter{again, known, strangers} {
			all = append(all, budget{counters: []Counter{own, shared}})
		}
		all[len(all)-1].last = true
	}
	if own, ok := s.known.of(by.Browser, account, s.c.Now()); ok {
		lost := Counter{"browser " + own.id(), Limit{Tries: s.c.Tries, Window: KnownLife, Rolling: true}}
		all = append(all, budget{counters: []Counter{lost, known}})
	}
	return append(all, budget{counters: []Counter{strangers}, network: true, last: true})
}

func accountKey(account string) string { return "sign-in " + account }

func knownKey(account string) string { return "known browsers of " + account }

func againKey(account string) string { return "sessions of " + account }

// Pauses are the keys of the wrong passwords of an account, as Directory.Canonical names
// it, for callers that show how long its pauses last.
type Pauses struct{ NewBrowsers, KnownBrowsers, Sessions string }

// PausesOf returns the keys of an account.
func PausesOf(account string) Pauses {
	return Pauses{NewBrowsers: accountKey(account), KnownBrowsers: knownKey(account), Sessions: againKey(account)}
}

// together returns what the directory counts as one number.
func (s *Service) together(account string) Together {
	sum := s.account.Load().sum
	if sum == 0 {
		return Together{}
	}
	return Together{Keys: []string{accountKey(account), knownKey(account), againKey(account)}, Tries: sum}
}

// open reports whether the limits allow anything at all.
func (b budget) open() bool {
	for _, c := range b.counters {
		if c.Limit.Tries == 0 {
			return false
		}
	}
	return true
}
