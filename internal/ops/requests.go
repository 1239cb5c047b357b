package ops

import "sync/atomic"

// Requests counts HTTP responses by side (http, https) and class of status. The zero value
// is ready to use. It is safe for concurrent use.
type Requests struct {
	counts [2][6]atomic.Uint64
}

// Served counts one response. A status outside of 100 to 599 counts as "none": the
// connection ended before a status was sent.
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

// each calls report with every count and its labels.
func (r *Requests) each(report func(count uint64, side, class string)) {
	for i, name := range []string{"http", "https"} {
		for class, label := range []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} {
			report(r.counts[i][class].Load(), name, label)
		}
	}
}
