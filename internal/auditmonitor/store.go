package auditmonitor

import (
	"context"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

// Store holds the audit log, its checkpoints and the keys that sign them. Reading
// does not depend on who else reads or writes; every method may return an error of the
// database.
type Store interface {
	// Entries returns entries in order, after a sequence number, at most limit. At a row
	// that cannot be an entry it returns those before it and an *audit.Break.
	Entries(ctx context.Context, after int64, limit int) ([]audit.Entry, error)

	// Head returns the recorded end of the chain.
	Head(ctx context.Context) (audit.Head, error)

	// Checkpoints returns checkpoints in order, after a sequence number, at most limit.
	Checkpoints(ctx context.Context, after int64, limit int) ([]audit.Checkpoint, error)

	// LastCheckpoint returns the checkpoint with the highest sequence number, or
	// portal.ErrNotFound.
	LastCheckpoint(ctx context.Context) (audit.Checkpoint, error)

	// AddCheckpoint stores a checkpoint. A second one for the same entry is dropped.
	AddCheckpoint(ctx context.Context, c audit.Checkpoint) error

	// LastVerification returns the result of the last verification, and
	// SaveVerification replaces it and appends the entries, in one transaction.
	LastVerification(ctx context.Context) (audit.Verification, error)
	SaveVerification(ctx context.Context, v audit.Verification, entries ...audit.Entry) error

	// HoldCursor makes holder the owner of a named cursor until a time and returns its
	// position. held is false while another holder owns it.
	HoldCursor(ctx context.Context, name, holder string, now, until time.Time) (seq int64, held bool, err error)

	// AdvanceCursor moves a cursor that holder owns and clears its failure.
	AdvanceCursor(ctx context.Context, name, holder string, seq int64) error

	// FailCursor records why holder cannot advance the cursor.
	FailCursor(ctx context.Context, name, holder, failure string, at time.Time) error

	// ReleaseCursor ends the ownership of holder.
	ReleaseCursor(ctx context.Context, name, holder string) error

	// Cursors lists all cursors.
	Cursors(ctx context.Context) ([]audit.Cursor, error)

	// AddAuditKey stores the encrypted signing key of a certificate.
	AddAuditKey(ctx context.Context, serial ca.Serial, encryptedKey []byte, notAfter time.Time) error

	// AuditKey returns the newest signing key that is valid at a time and its
	// certificate in DER, or portal.ErrNotFound.
	AuditKey(ctx context.Context, now time.Time) (certificate, encryptedKey []byte, err error)

	// AuditCertificate returns the certificate of a signing key in DER, expired or not,
	// or portal.ErrNotFound.
	AuditCertificate(ctx context.Context, serial string) ([]byte, error)
}
