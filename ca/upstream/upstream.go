// Package upstream describes what the portal asks of a CA that it does not run, and what
// such a CA can answer. Each protocol has a package below this one.
//
// A CA elsewhere is not trusted: what it answers is compared with what was asked for
// ([certportal/ca.Foreign]) before it is used. No request is sent twice, because most
// protocols cannot tell a repeated request from a new one: an error that is neither a
// [Denied] nor wraps [ErrUnsent] means that a certificate may exist.
package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
)

// CA issues and revokes certificates elsewhere. It is safe for concurrent use. Every method
// ends when its context does.
type CA interface {
	// Submit asks for a certificate, once. The error is a *Denied when the CA said no,
	// wraps ErrUnsent when it cannot have received the request, and is of another kind
	// when it is unknown whether a certificate was issued: the answer then has the ID, if
	// the CA gave one.
	Submit(context.Context, Request) (Answer, error)

	// Poll asks what became of a request that waits for approval, by the ID of its answer.
	// It changes nothing and may be repeated after every error but a *Denied.
	Poll(ctx context.Context, id string) (Answer, error)

	// Revoke revokes a certificate. It is no error when the CA did so before. The error
	// wraps ErrUnsupported where the protocol cannot revoke.
	Revoke(context.Context, Revocation) error

	// Probe asks whether the CA answers and accepts the portal's credentials, as far as
	// the protocol can say without issuing. It gives the certificates of the CA, as it
	// names them itself: none of them is trusted for that.
	Probe(context.Context) ([]*x509.Certificate, error)
}

// Request asks for the certificate of one person.
type Request struct {
	Number   string        // of the request in the portal's records, for the log of the CA
	CSR      []byte        // PKCS#10 in DER, with all names and extensions of the profile
	Subject  ca.Subject    // the person, as the directory names them
	Login    string        // as DOMAIN\name; for CAs that look the person up themselves
	Validity time.Duration // of the profile
}

// Answer is a certificate, or the promise of one.
type Answer struct {
	// ID is how the CA calls the request. Text, because CAs number with up to 39 digits.
	// It is empty where the protocol has none.
	ID string

	// Certificate is nil while the request waits for approval.
	Certificate *x509.Certificate

	// Chain is what the CA sent beside the certificate, in its order. Optional.
	Chain []*x509.Certificate

	// RetryAfter is when to poll again. Optional.
	RetryAfter time.Duration

	// Text is what the CA says about the request, in its own language: for administrators
	// to read, never to decide by. Optional.
	Text string
}

// Pending reports whether the request waits for approval.
func (a Answer) Pending() bool { return a.Certificate == nil }

// Revocation asks for the end of a certificate.
type Revocation struct {
	Certificate *x509.Certificate
	Reason      int // RFC 5280 section 5.3.1
}

// ErrUnsent means that the CA cannot have received the request: nothing was issued.
var ErrUnsent = errors.New("nothing was sent")

// ErrSpare means that one of the addresses of the CA cannot be used, and requests go to
// another one.
var ErrSpare = errors.New("requests go to another address")

// ErrUnsupported means that the protocol has no such request.
var ErrUnsupported = errors.New("the protocol cannot do this")

// Denied means that the CA understood the request and will not fulfil it: nothing was
// issued.
type Denied struct {
	ID   string // of the request. Optional.
	Code string // of the protocol, such as an HTTP status or an HRESULT in hexadecimal
	Text string // of the CA, in its own language. Optional.

	// Hint says what the code means and what an administrator can do. Optional.
	Hint string

	// Credentials says that the CA refused the portal and not the request: every other
	// request would be refused too.
	Credentials bool

	// SignIn says that what the portal signs in with was refused, so that trying it again could
	// lock the account. Credentials is true too.
	SignIn bool

	// Person says that the code is that of a person the portal must not request for.
	// It is false where the protocol has no such code.
	Person bool
}

// Error gives code, hint and text.
func (d *Denied) Error() string {
	what := "the CA denied the request"
	if d.Credentials {
		what = "the CA refused the portal's credentials"
	}
	what += ": " + d.Code
	if d.Hint != "" {
		what += " (" + d.Hint + ")"
	}
	if d.Text != "" {
		what += fmt.Sprintf(", %q", d.Text)
	}
	return what
}
