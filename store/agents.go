package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/portal"
)

// AddAgent keeps the sealed key of an agent's certificate, which is recorded
// already.
func (db Enrolments) AddAgent(ctx context.Context, serial ca.Serial, sealedKey []byte, notAfter time.Time) error {
	return db.write(ctx, "keeping agent key", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "INSERT INTO agents (serial, sealed_key, not_after) VALUES ($1, $2, $3)",
			serial.String(), sealedKey, notAfter.UnixMilli())
		return err
	})
}

// Agents calls found with each agent whose certificate is in force, newest
// first. It ends at the first error of found.
func (db Enrolments) Agents(ctx context.Context, now time.Time, found func(certificate, sealedKey []byte) error) error {
	err := db.All(ctx, `SELECT c.der, a.sealed_key FROM agents a JOIN certificates c ON c.serial = a.serial
		WHERE a.not_after > $1 AND c.status = $2 ORDER BY a.not_after DESC, a.serial`,
		[]any{now.UnixMilli(), string(portal.Issued)}, func(rows *sql.Rows) error {
			var der, sealed []byte
			if err := rows.Scan(&der, &sealed); err != nil {
				return err
			}
			return found(der, sealed)
		})
	if err != nil {
		return fmt.Errorf("listing agents: %w", err)
	}
	return nil
}
