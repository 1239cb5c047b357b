package web

import (
	"crypto/rand"
	"net/http"
)

// referenceAlphabet is Crockford's base 32: no I, L, O or U, so that a
// reference survives being read out on the telephone.
const referenceAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// referenceLength gives 40 bits: enough to find one request of a week's log.
const referenceLength = 8

// newReference names one request, for the log, the ledger and the person.
func newReference() string {
	var b [referenceLength]byte
	rand.Read(b[:]) // never returns an error, see crypto/rand
	for i, c := range b {
		b[i] = referenceAlphabet[int(c)%len(referenceAlphabet)]
	}
	return string(b[:])
}

// visit is what the portal knows about a request from its first moment.
type visit struct {
	ref    string
	secure bool // came to the https side
}

// visitKey is the context key of the visit.
type visitKey struct{}

// visitOf returns the visit of a request; the zero visit when no middleware of
// this package saw it.
func visitOf(r *http.Request) visit {
	v, _ := r.Context().Value(visitKey{}).(visit)
	return v
}
