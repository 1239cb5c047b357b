// Package succession says which issuing CA issues now. An installation has several over
// the years, each with its own key, list, address and OCSP signer. Exactly one is active.
// The ones before it are retiring: they sign lists and answers until the last certificate
// that they issued has ended.
//
// The certificates and keys are in the CA's folder; the states are in the store, so that
// all replicas change at the same moment.
package succession

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

// State is what an authority may do.
type State string

// The states, in the order in which an authority has them. A revoked one can have been in
// any of them.
const (
	Pending  State = "pending"  // has its certificate, signs lists, issues nothing yet
	Active   State = "active"   // issues
	Retiring State = "retiring" // signs lists and OCSP signers only, until its own end
	Retired  State = "retired"  // the last certificate that people had of it has ended
	Revoked  State = "revoked"  // its certificate is revoked; signs lists and OCSP signers until its own end
)

// Record is the state of one authority.
type Record struct {
	Name        string
	Fingerprint [sha256.Size]byte // of its certificate
	State       State
	NotAfter    time.Time // of its certificate
	Added       time.Time
	ActivateAt  time.Time // zero unless it becomes active by itself
	Activated   time.Time // zero while it is pending
	Left        time.Time // when another one became active, or it was revoked; zero before
	RetiredAt   time.Time // zero unless it is retired
	RevokedAt   time.Time // zero unless it is revoked
	Reason      int       // of that, as in ca.Revocation
}

// Authority is one issuing CA with its state.
type Authority struct {
	ca.Authority
	Record Record
}

// RecordOf makes the first record of an authority, which is pending.
func RecordOf(a ca.Authority, added time.Time) Record {
	return Record{
		Name: a.Name, Fingerprint: sha256.Sum256(a.Certificate.Raw), State: Pending, NotAfter: a.Certificate.NotAfter, Added: added,
	}
}

var (
	// ErrState means that the state of the authority does not allow the act.
	ErrState = errors.New("the state of the issuing CA does not allow it")

	// ErrOther means that the certificate of an authority is another than the recorded one.
	ErrOther = errors.New("the certificate of the issuing CA is another than the recorded one")
)

// Store keeps the records. Each method is one transaction, its audit entry included.
type Store interface {
	// Authorities gives all records in the order of their numbers.
	Authorities(ctx context.Context) ([]Record, error)

	// AddAuthority records an authority, as pending or as active. It changes nothing if the
	// same certificate is recorded under this name. The error is ErrOther for another
	// certificate under the name, and ErrState for a second active one.
	AddAuthority(ctx context.Context, r Record, entry audit.Entry) error

	// ScheduleAuthority sets when a pending authority becomes active; the zero time: by
	// command only. The error is ErrState for one that is not pending.
	ScheduleAuthority(ctx context.Context, name string, at time.Time, entry audit.Entry) error

	// ActivateAuthority makes a pending authority active and the active one retiring. The
	// error is ErrState for one that is not pending.
	ActivateAuthority(ctx context.Context, name string, at time.Time, entry audit.Entry) error

	// ActivatePlanned is ActivateAuthority by its plan: the error is ErrState too when the plan
	// was taken back, or postponed past at.
	ActivatePlanned(ctx context.Context, name string, at time.Time, entry audit.Entry) error

	// RetireAuthority ends a retiring authority. The error is ErrState for one that is not
	// retiring, and while a certificate of it has not ended.
	RetireAuthority(ctx context.Context, name string, at time.Time, entry audit.Entry) error

	// RevokeAuthority marks an authority as revoked and records its certificate for the list
	// of its root; then none may be active. From the moment that it returns no replica
	// issues a person's certificate under it. The error is ErrState for one that is revoked.
	RevokeAuthority(ctx context.Context, r Revocation, entry audit.Entry) error

	// RevokedAuthorities gives the CA certificates that are recorded as revoked.
	RevokedAuthorities(ctx context.Context) ([]Listed, error)
}

// belongs reports whether a record is that of the certificate in the folder.
func belongs(r Record, a ca.Authority) bool {
	return sha256.Sum256(a.Certificate.Raw) == r.Fingerprint
}

// issued reports whether an authority issued a certificate: by name and key identifier,
// or where there is none by the signature (RFC 5280 section 4.2.1.1).
func issued(by *x509.Certificate, cert *x509.Certificate) bool {
	if !bytes.Equal(cert.RawIssuer, by.RawSubject) {
		return false
	}
	if len(cert.AuthorityKeyId) > 0 {
		return bytes.Equal(cert.AuthorityKeyId, by.SubjectKeyId)
	}
	return cert.CheckSignatureFrom(by) == nil
}

// entry makes the audit entry of an act on an authority by the portal itself.
func entry(action audit.Action, name string, at time.Time, detail map[string]string) audit.Entry {
	return audit.Entry{At: at, Action: action, Actor: "system", Role: "system", Object: name, Detail: detail}
}
