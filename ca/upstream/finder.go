package upstream

import (
	"context"
	"crypto/x509"
)

// IssuesByPoll is a [CA] whose Poll can make the certificate, against the rule: its protocol
// knows no other way to ask. A poll whose answer was lost is then not repeated.
type IssuesByPoll interface{ IssuesByPoll() bool }

// Finder is a [CA] that can be asked what it issued for a request whose answer was lost.
type Finder interface {
	// Find gives the certificates that were issued for a request, by its Number. It
	// changes nothing. None means that none was issued so far: a request that is still
	// being worked on can lead to one later. The error wraps ErrUnsupported where this CA
	// offers no search.
	Find(context.Context, Request) ([]*x509.Certificate, error)
}
