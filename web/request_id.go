package web

import (
	"crypto/rand"
	"net/http"
)

// requestIDAlphabet is Crockford's base 32: no I, L, O or U, so that a
// reference survives being read out on the telephone.
const requestIDAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// requestIDLength gives 40 bits: enough to find one request of a week's log.
const requestIDLength = 8

// newRequestID names one request, for the log, the ledger and the person.
func newRequestID() string {
	var b [requestIDLength]byte
	rand.Read(b[:]) // never returns an error, see crypto/rand
	for i, c := range b {
		b[i] = requestIDAlphabet[int(c)%len(requestIDAlphabet)]
	}
	return string(b[:])
}

// visit is what the portal knows about a request from its first moment.
type requestInfo struct {
	id     string
	secure bool // came to the https side
}

// requestInfoKey is the context key of the visit.
type requestInfoKey struct{}

// requestInfoOf returns the visit of a request; the zero visit when no middleware of
// this package saw it.
func requestInfoOf(r *http.Request) requestInfo {
	v, _ := r.Context().Value(requestInfoKey{}).(requestInfo)
	return v
}
