package web

import (
	"crypto/rand"
	"net/http"
)

// requestIDAlphabet is Crockford's base 32, without I, L, O and U: people read request
// ids out on the telephone.
const requestIDAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// requestIDLength gives 40 bits: enough to find one request in a week's log.
const requestIDLength = 8

// newRequestID makes the id of one request, for the log, the audit log and the error
// page.
func newRequestID() string {
	var b [requestIDLength]byte
	rand.Read(b[:]) // never returns an error, see crypto/rand
	for i, c := range b {
		b[i] = requestIDAlphabet[int(c)%len(requestIDAlphabet)]
	}
	return string(b[:])
}

// requestInfo is set by the outermost middleware.
type requestInfo struct {
	id      string
	address string // of the client, behind the trusted proxies
	secure  bool   // by https
}

// requestInfoKey is the context key of requestInfo.
type requestInfoKey struct{}

// requestInfoOf returns the info of a request; the zero value without the middleware.
func requestInfoOf(r *http.Request) requestInfo {
	v, _ := r.Context().Value(requestInfoKey{}).(requestInfo)
	return v
}
