package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// Complete stores the signed certificate and its pickup, and ends what it replaces.
// portal.ErrConflict says that there is no such reservation any more: it was
// revoked, completed, never made, or its device was removed, and enroll.ErrFileInUse that
// what it would end may be in use. A certificate with
// another serial or key than reserved is refused.
func (db Enrolments) Complete(ctx context.Context, c enroll.Completion) error {
	return db.write(ctx, "completing serial "+c.Serial.String(), func(ctx context.Context, t *tx) error {
		if err := (upstreamTx{t}).rename(ctx, c); err != nil {
			return err
		}
		device, err := t.lockReservation(ctx, c)
		if err != nil {
			return err
		}
		var delivered time.Time
		if c.Delivered {
			delivered = c.At
		}
		touched, err := t.Exec(ctx, `UPDATE certificates SET status = 'issued', der = $2, delivered_at = $3
			WHERE serial = $1 AND status = 'pending'`, c.Serial.String(), c.Certificate.Raw, sqldb.Moment(delivered))
		if err != nil {
			return fmt.Errorf("recording certificate: %w", err)
		}
		if touched == 0 {
			return portal.ErrConflict
		}
		if err := t.insertPickup(ctx, c); err != nil {
			return err
		}
		entry := c.Entry
		if entry.Object == "" {
			entry.Object = c.Serial.String()
		}
		followed, err := t.endEarlier(ctx, device, c)
		if err != nil {
			return err
		}
		if err := t.appendRecords(ctx, append(records(entry), followed...)...); err != nil {
			return err
		}
		return checkNotRevoked(ctx, t, c.Serial)
	})
}

// Confirm writes the row of a completed certificate once more, without a change: when that is
// durable, the completion is too, also on a standby. A row that can be read need not be: the
// commit behind it may have ended without the standby. portal.ErrConflict says that the
// certificate is not recorded with these bytes, or has ended.
func (db Enrolments) Confirm(ctx context.Context, serial ca.Serial, der []byte) error {
	return db.write(ctx, "confirming serial "+serial.String(), func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, `UPDATE certificates SET status = status
			WHERE serial = $1 AND der = $2 AND status IN ('issued', 'superseded')`, serial.String(), der)
		if err == nil && touched == 0 {
			err = portal.ErrConflict
		}
		return err
	})
}

// endEarlier ends or supersedes the certificates that the device had before.
func (t *tx) endEarlier(ctx context.Context, device portal.DeviceID, c enroll.Completion) ([]record, error) {
	switch {
	case device == "":
		return nil, nil
	case c.Overlap > 0:
		return t.overlap(ctx, device, c)
	case c.Supersede:
		return t.supersede(ctx, device, c)
	}
	return nil, nil
}

// lockReservation locks the person of a reservation and compares the certificate
// with it. It returns the device, empty for the portal's own certificates.
func (t *tx) lockReservation(ctx context.Context, c enroll.Completion) (portal.DeviceID, error) {
	if err := t.lockOwners(ctx, []ca.Serial{c.Serial}); err != nil {
		return "", err
	}
	var key []byte
	var status portal.Status
	var device sql.NullString
	err := t.One(ctx, "SELECT key_hash, status, device_id FROM certificates WHERE serial = $1",
		[]any{c.Serial.String()}, &key, &status, &device)
	if errors.Is(err, portal.ErrNotFound) || (err == nil && status != portal.Pending) {
		return "", portal.ErrConflict
	}
	if err != nil {
		return "", fmt.Errorf("finding reservation: %w", err)
	}
	if err := t.checkNotRemoved(ctx, portal.DeviceID(device.String)); err != nil {
		return "", err
	}
	serial, err := ca.SerialOf(c.Certificate.SerialNumber)
	if err != nil {
		return "", err
	}
	if serial != c.Serial {
		return "", fmt.Errorf("serial %s of the certificate %w", serial, errMismatch)
	}
	if sha256.Sum256(c.Certificate.RawSubjectPublicKeyInfo) != [sha256.Size]byte(key) {
		return "", fmt.Errorf("key of the certificate %w", errMismatch)
	}
	return portal.DeviceID(device.String), nil
}

// checkNotRemoved refuses a device that was removed since the reservation.
func (t *tx) checkNotRemoved(ctx context.Context, device portal.DeviceID) error {
	if device == "" {
		return nil
	}
	var removed sql.NullInt64
	err := t.One(ctx, "SELECT removed_at FROM devices WHERE id = $1", []any{string(device)}, &removed)
	if err != nil {
		return fmt.Errorf("finding device %s: %w", device, err)
	}
	if removed.Valid {
		return fmt.Errorf("device %s was removed: %w", device, portal.ErrConflict)
	}
	return nil
}

func (t *tx) insertPickup(ctx context.Context, c enroll.Completion) error {
	p := c.Pickup
	if p == nil {
		return nil
	}
	_, err := t.Exec(ctx, `INSERT INTO pickups
		(token_hash, serial, sealed_key, sealed_password, expires_at, password_until, claims, reads)
		VALUES ($1, $2, $3, $4, $5, $6, 0, 0)`,
		p.TokenHash[:], c.Serial.String(), p.Key, p.Password, p.Expires.UnixMilli(), p.PasswordUntil.UnixMilli())
	if err != nil {
		return fmt.Errorf("recording pickup: %w", err)
	}
	return nil
}

// supersede revokes every other certificate of the device.
func (t *tx) supersede(ctx context.Context, device portal.DeviceID, c enroll.Completion) ([]record, error) {
	others, err := t.liveOf(ctx, device)
	if err != nil {
		return nil, err
	}
	others = slices.DeleteFunc(others, func(s ca.Serial) bool { return s == c.Serial })
	base := c.Entry
	base.Action, base.At = audit.CertificateRevoked, c.At
	base.Detail = map[string]string{"by": c.Serial.String()}
	return t.endAll(ctx, others, portal.Replaced, c.At, base)
}

func scanSerial(rows *sql.Rows, into *[]ca.Serial) error {
	var text string
	if err := rows.Scan(&text); err != nil {
		return err
	}
	serial, err := serialOf(text)
	*into = append(*into, serial)
	return err
}

// Unfinished lists reservations from before the time that are still pending, oldest
// first, without those that another CA has.
func (db Enrolments) Unfinished(ctx context.Context, before time.Time, limit int) ([]ca.Serial, error) {
	var serials []ca.Serial
	err := db.All(ctx, `SELECT serial FROM certificates
		WHERE der IS NULL AND revoked_at IS NULL AND requested_at < $1
		AND NOT EXISTS (SELECT 1 FROM upstream_requests q WHERE q.number = certificates.serial AND q.`+openUpstream+`) ORDER BY requested_at LIMIT $2`,
		[]any{before.UnixMilli(), limit}, func(rows *sql.Rows) error { return scanSerial(rows, &serials) })
	if err != nil {
		return nil, fmt.Errorf("listing unfinished certificates: %w", err)
	}
	return serials, nil
}

// Undelivered lists issued certificates whose file was never read completely and
// whose pickup is wiped, or expired before the time; oldest first.
func (db Enrolments) Undelivered(ctx context.Context, before time.Time, limit int) ([]ca.Serial, error) {
	var serials []ca.Serial
	err := db.All(ctx, `SELECT c.serial FROM certificates c JOIN pickups p ON p.serial = c.serial
		WHERE c.der IS NOT NULL AND c.delivered_at IS NULL AND c.revoked_at IS NULL AND c.status = 'issued'
		AND (p.sealed_key IS NULL OR p.expires_at < $1)
		ORDER BY c.requested_at LIMIT $2`,
		[]any{before.UnixMilli(), limit}, func(rows *sql.Rows) error { return scanSerial(rows, &serials) })
	if err != nil {
		return nil, fmt.Errorf("listing undelivered certificates: %w", err)
	}
	return serials, nil
}
