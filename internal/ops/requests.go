package ops

import "sync/atomic"

// Requests counts what the portal answered, by side and class of status. The zero
// value counts from nothing; it is safe for concurrent use.
type Requests struct {
	counts [2][6]atomic.Uint64
}

// Served counts one answer. A status outside of 100 to 599 counts under 0: the
// connection was cut before there was one.
func (r *Requests) Served(secure bool, status int) {
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	r.counts[side(secure)][class].Add(1)
}

func side(secure bool) int {
	if secure {
		return 1
	}
	return 0
}

// each tells all counts, with their labels.
func (r *Requests) each(tell func(count uint64, side, class string)) {
	for i, name := range []string{"http", "https"} {
		for class, label := range []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} {
			tell(r.counts[i][class].Load(), name, label)
		}
	}
}
