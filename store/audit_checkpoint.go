package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// AddCheckpoint stores a checkpoint. A second one for the same entry is dropped:
// replicas may sign the same end.
func (db AuditLog) AddCheckpoint(ctx context.Context, s audit.Checkpoint) error {
	return db.write(ctx, "storing checkpoint", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `INSERT INTO ledger_seals (seq, hash, at, node, key, signature)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (seq) DO NOTHING`,
			s.Seq, s.Hash[:], s.At.UnixMilli(), s.Node, s.Key, s.Signature)
		return err
	})
}

// checkpointColumns are the columns that a checkpoint is scanned from, in order.
const checkpointColumns = "seq, hash, at, node, key, signature"

// Checkpoints reads the checkpoints in the order of their entries: at most limit, of
// entries with a number above after.
func (db AuditLog) Checkpoints(ctx context.Context, after int64, limit int) ([]audit.Checkpoint, error) {
	checkpoints, err := db.checkpoints(ctx, "SELECT "+checkpointColumns+" FROM ledger_seals WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints after %d: %w", after, err)
	}
	return checkpoints, nil
}

// LastCheckpoint returns the checkpoint with the highest number, or
// portal.ErrNotFound.
func (db AuditLog) LastCheckpoint(ctx context.Context) (audit.Checkpoint, error) {
	checkpoints, err := db.checkpoints(ctx, "SELECT "+checkpointColumns+" FROM ledger_seals ORDER BY seq DESC LIMIT 1")
	if err == nil && len(checkpoints) == 0 {
		err = portal.ErrNotFound
	}
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("reading the last checkpoint: %w", err)
	}
	return checkpoints[0], nil
}

func (db AuditLog) checkpoints(ctx context.Context, query string, args ...any) ([]audit.Checkpoint, error) {
	var checkpoints []audit.Checkpoint
	err := db.All(ctx, query, args, func(rows *sql.Rows) error {
		var s audit.Checkpoint
		var at sql.NullInt64
		var hash []byte
		if err := rows.Scan(&s.Seq, &hash, &at, &s.Node, &s.Key, &s.Signature); err != nil {
			return err
		}
		s.At = sqldb.TimeOf(at)
		var err error
		s.Hash, err = sqldb.Hash32(hash)
		checkpoints = append(checkpoints, s)
		return err
	})
	return checkpoints, err
}

// AddAuditKey stores the encrypted key of a certificate that signs checkpoints. The
// certificate is recorded already.
func (db AuditLog) AddAuditKey(ctx context.Context, serial ca.Serial, sealedKey []byte, notAfter time.Time) error {
	return db.write(ctx, "storing audit key", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "INSERT INTO ledger_keys (serial, sealed_key, not_after) VALUES ($1, $2, $3)",
			serial.String(), sealedKey, notAfter.UnixMilli())
		return err
	})
}

// AuditKey returns the certificate and the encrypted key of the newest checkpoint
// key that is in force at the time, or portal.ErrNotFound.
func (db AuditLog) AuditKey(ctx context.Context, now time.Time) (certificate, sealedKey []byte, err error) {
	err = db.One(ctx, `SELECT c.der, k.sealed_key FROM ledger_keys k JOIN certificates c ON c.serial = k.serial
		WHERE k.not_after > $1 AND c.status = $2 ORDER BY k.not_after DESC, k.serial LIMIT 1`,
		[]any{now.UnixMilli(), string(portal.Issued)}, &certificate, &sealedKey)
	if err != nil {
		return nil, nil, fmt.Errorf("finding audit key: %w", err)
	}
	return certificate, sealedKey, nil
}

// AuditCertificate returns the certificate, in DER, of a key that signed
// checkpoints, also of one that expired or was revoked since. portal.ErrNotFound
// says that there is no such key.
func (db AuditLog) AuditCertificate(ctx context.Context, serial string) ([]byte, error) {
	if !sqldb.Storable(serial) {
		return nil, fmt.Errorf("finding audit certificate: %w", portal.ErrNotFound)
	}
	var der []byte
	err := db.One(ctx, "SELECT c.der FROM ledger_keys k JOIN certificates c ON c.serial = k.serial WHERE k.serial = $1",
		[]any{serial}, &der)
	if err == nil && der == nil {
		err = errors.New("certificate was never completed")
	}
	if err != nil {
		return nil, fmt.Errorf("finding audit certificate %s: %w", serial, err)
	}
	return der, nil
}
