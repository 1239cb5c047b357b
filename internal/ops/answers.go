package ops

import "sync/atomic"

// Answers counts OCSP responses (RFC 6960 section 4.2.1): shared ones, which a cache may
// return to other clients, single ones with a client's nonce, and errors by their status.
// The zero value is ready to use. It is safe for concurrent use.
type Answers struct {
	shared, single                              atomic.Uint64
	malformed, internal, tryLater, unauthorized atomic.Uint64
}

// Count counts an OCSPResponse in DER; shared means that caches may return it to others.
func (a *Answers) Count(der []byte, shared bool) {
	a.counter(der, shared).Add(1)
}

func (a *Answers) counter(der []byte, shared bool) *atomic.Uint64 {
	// An error response has five bytes, of which the last is its status.
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

// each calls report with every count and its label.
func (a *Answers) each(report func(count uint64, result string)) {
	report(a.shared.Load(), "shared")
	report(a.single.Load(), "single")
	report(a.malformed.Load(), "malformed_request")
	report(a.internal.Load(), "internal_error")
	report(a.tryLater.Load(), "try_later")
	report(a.unauthorized.Load(), "unauthorized")
}
