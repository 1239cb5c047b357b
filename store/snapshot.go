package store

import (
	"context"
	"fmt"
	"io/fs"

	"certportal/internal/audit"
	"certportal/store/sqldb"
)

// SchemaVersion is the version of the schema that this program makes.
func SchemaVersion() (int64, error) {
	schema, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return 0, err
	}
	return sqldb.SchemaVersion(schema)
}

// Snapshot takes a snapshot for a copy that is kept. The portal wipes keys of people, their
// passwords and sessions within the hour, so they are not in it; restoring a copy would end
// them anyway.
func (db *base) Snapshot(ctx context.Context, folder string) (*sqldb.Snapshot, error) {
	return db.DB.Snapshot(ctx, folder, sqldb.Blank{
		"pickups": {"sealed_key", "sealed_password"}, "upstream_requests": {"sealed_key"}, "sessions": {"data"},
	})
}

// HeadOf is the end of the audit log in a snapshot.
func HeadOf(ctx context.Context, s *sqldb.Snapshot) (audit.Head, error) {
	var head audit.Head
	var hash []byte
	if err := s.One(ctx, "SELECT seq, hash FROM ledger_head WHERE id = 1", &head.Seq, &hash); err != nil {
		return head, fmt.Errorf("reading head of audit log: %w", err)
	}
	if copy(head.Hash[:], hash) != len(head.Hash) {
		return head, fmt.Errorf("reading head of audit log: its hash has %d bytes", len(hash))
	}
	return head, nil
}

// NewLoad begins to fill an empty PostgreSQL database from a snapshot of a version of the
// schema.
func NewLoad(ctx context.Context, url string, version int64) (*sqldb.Load, error) {
	schema, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	return sqldb.NewLoad(ctx, url, schema, version)
}

// VersionsOf looks at the schema of a database and changes nothing.
func VersionsOf(ctx context.Context, url string) (sqldb.Versions, error) {
	schema, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return sqldb.Versions{}, err
	}
	return sqldb.VersionsOf(ctx, url, schema)
}

// PlanUpgrade looks what this program would do to the schema of a database, and changes
// nothing. A newer one is an error that wraps [ErrSchemaNewer].
func PlanUpgrade(ctx context.Context, url string) (sqldb.Plan, error) {
	schema, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return sqldb.Plan{}, err
	}
	return sqldb.PlanOf(ctx, url, schema)
}
