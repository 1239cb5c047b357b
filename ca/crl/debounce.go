package crl

import "time"

const (
	// debounceTime is how long a revocation waits for others, so that one list covers
	// several.
	debounceTime = 500 * time.Millisecond

	// atMostEvery is the minimum time from one list to the next.
	atMostEvery = time.Second

	// longestPause is the maximum backoff after failures.
	longestPause = time.Minute
)

// debounce decides when the next build may begin. Its times are monotonic (time.Now), so
// that a step of the system clock does not matter.
type debounce struct {
	noticed time.Time // when the oldest waiting revocation was seen
	next    time.Time // earliest begin of the next build
	failed  int       // builds in a row
}

// wait gives the time until the next build may begin.
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

// ended notes the end of a build. Builds use at most half of the time, however long they
// take: the machine has other work.
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
