package crl

import "time"

const (
	// debounceTime is how long a revocation waits for others, so that one list tells of
	// several.
	debounceTime = 500 * time.Millisecond

	// atMostEvery is the least time from one list to the next.
	atMostEvery = time.Second

	// longestPause is that after failures.
	longestPause = time.Minute
)

// debounce says when the next list may be begun. Times are those of this machine's own
// clock, which nobody sets back.
type debounce struct {
	noticed time.Time // when a revocation that waits was first seen
	next    time.Time // not before
	failed  int       // times in a row
}

// wait says how long the next list must wait.
func (p *debounce) wait(now time.Time, revoked bool) time.Duration {
	from := p.next
	if revoked {
		if p.noticed.IsZero() {
			p.noticed = now
		}
		if ready := p.noticed.Add(debounceTime); ready.After(from) {
			from = ready
		}
	}
	return max(0, from.Sub(now))
}

// ended notes a list, or that it could not be made. Long lists take half of the time at
// most: the machine has other work.
func (p *debounce) ended(began time.Time, took time.Duration, failed bool) {
	p.noticed = time.Time{}
	pause := max(atMostEvery, 2*took)
	if !failed {
		p.failed = 0
		p.next = began.Add(pause)
		return
	}
	p.failed++
	p.next = began.Add(max(pause, min(longestPause, time.Second<<min(p.failed, 10))))
}
