package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/portal"
)

// AddRA stores the encrypted key of a SCEP RA, whose certificate is already recorded.
func (db Enrolments) AddRA(ctx context.Context, serial ca.Serial, encryptedKey []byte, notAfter time.Time) error {
	return db.write(ctx, "adding RA key", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "INSERT INTO agents (serial, sealed_key, not_after) VALUES ($1, $2, $3)",
			serial.String(), encryptedKey, notAfter.UnixMilli())
		return err
	})
}

// RA returns the certificate and encrypted key of a SCEP RA whose certificate is valid. The
// error wraps [portal.ErrNotFound] when the serial is not that of one.
func (db Enrolments) RA(ctx context.Context, serial ca.Serial, now time.Time) (certificate, encryptedKey []byte, err error) {
	err = db.One(ctx, `SELECT c.der, a.sealed_key FROM agents a JOIN certificates c ON c.serial = a.serial
		WHERE a.serial = $1 AND a.not_after > $2 AND c.status = $3`,
		[]any{serial.String(), now.UnixMilli(), string(portal.Issued)}, &certificate, &encryptedKey)
	if err != nil {
		return nil, nil, fmt.Errorf("finding RA %s: %w", serial, err)
	}
	return certificate, encryptedKey, nil
}

// RAs calls found with each SCEP RA whose certificate is valid, newest first. It ends at
// the first error of found.
func (db Enrolments) RAs(ctx context.Context, now time.Time, found func(certificate, encryptedKey []byte) error) error {
	err := db.All(ctx, `SELECT c.der, a.sealed_key FROM agents a JOIN certificates c ON c.serial = a.serial
		WHERE a.not_after > $1 AND c.status = $2 ORDER BY a.not_after DESC, a.serial`,
		[]any{now.UnixMilli(), string(portal.Issued)}, func(rows *sql.Rows) error {
			var der, encrypted []byte
			if err := rows.Scan(&der, &encrypted); err != nil {
				return err
			}
			return found(der, encrypted)
		})
	if err != nil {
		return fmt.Errorf("listing RAs: %w", err)
	}
	return nil
}
