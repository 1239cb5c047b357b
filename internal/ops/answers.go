package ops

import "sync/atomic"

// Answers counts what was answered online about certificates (RFC 6960 section
// 4.2.1): what a cache may hand to others, what was made for one who asked, and the
// refusals by their status. The zero value counts from nothing; it is safe for
// concurrent use.
type Answers struct {
	shared, single                              atomic.Uint64
	malformed, internal, tryLater, unauthorized atomic.Uint64
}

// Count takes an OCSPResponse in DER; shared says that it may be handed to others.
func (a *Answers) Count(der []byte, shared bool) {
	a.counter(der, shared).Add(1)
}

func (a *Answers) counter(der []byte, shared bool) *atomic.Uint64 {
	// A refusal has five bytes, of which the last is its status.
	const refusal = 5
	if shared {
		return &a.shared
	}
	if len(der) != refusal {
		return &a.single
	}
	switch der[refusal-1] {
	case 1:
		return &a.malformed
	case 3:
		return &a.tryLater
	case 6:
		return &a.unauthorized
	}
	return &a.internal
}

// each tells all counts, with their labels.
func (a *Answers) each(tell func(count uint64, result string)) {
	tell(a.shared.Load(), "shared")
	tell(a.single.Load(), "single")
	tell(a.malformed.Load(), "malformed_request")
	tell(a.internal.Load(), "internal_error")
	tell(a.tryLater.Load(), "try_later")
	tell(a.unauthorized.Load(), "unauthorized")
}
