package upstream

import (
	"context"
	"crypto/x509"
)

// Finder is a [CA] that can be asked what it issued for a request whose answer was lost.
type Finder interface {
	// Find gives the certificates that were issued for a request, by its Number. It
	// changes nothing. None means that none was issued so far: a request that is still
	// being worked on can lead to one later. The error wraps ErrUnsupported where this CA
	// offers no search.
	Find(context.Context, Request) ([]*x509.Certificate, error)
}
