// Package revoker is the portal's side of revokers. A revoker is a script on the host of a CA
// that cannot be asked to revoke by its protocol, such as AD CS: it fetches what it has to
// revoke over mutual TLS, revokes, and reports each outcome. The package makes the script
// ([Script]) and answers it ([Server]).
//
// A revoker learns the serial numbers that are open at its own CA, and can say that these are
// revoked. It has no session and can do nothing else.
package revoker

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
)

// Path is where revokers ask and report; the name of their CA follows.
const Path = "/revocations/"

// Most is how many revocations one answer has.
const Most = 200

// Store keeps what is to be revoked. Authorities are named as in records.
type Store interface {
	// OpenRevocations lists what one CA did not confirm of the certificates that have not
	// ended, the least tried first.
	OpenRevocations(ctx context.Context, authority string, now time.Time, limit int) ([]enroll.UpstreamRevocation, error)

	// NoteRevokerAsked records that the revoker of a CA asked for its work.
	NoteRevokerAsked(ctx context.Context, authority string, at time.Time) error

	// NoteRevokerReport records a report, with the entry where it is news. It returns
	// ErrNotFound for a certificate that this CA is not to revoke, and ErrConflict when one
	// is not revoked that was reported to be.
	NoteRevokerReport(ctx context.Context, authority string, r enroll.RevokerReport, entry audit.Entry) error
}

// Config holds the dependencies of a Server. All fields are required. Strangers can cause
// lines in Log: it must be limited.
type Config struct {
	Store Store

	// CAs are the names in the settings, and Certificates gives the certificates of the
	// revoker of one: it is asked in every handshake and for every request, so that they
	// can be replaced and taken away without a restart.
	CAs          []string
	Certificates func(ca string) ([]*x509.Certificate, error)

	Now func() time.Time
	Log *slog.Logger
}
