package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// fileNumber counts the certificates ever requested for the person of a certificate c, up
// to it: no two files of a person have the same number, and the newest has the highest.
const fileNumber = `(SELECT count(*) FROM certificates n
	WHERE n.person = c.person AND (n.requested_at, n.serial) <= (c.requested_at, c.serial))`

// Pickup finds a pickup by the hash of its token, wiped or not, with the device
// and the certificate it was made for.
func (db Enrolments) Pickup(ctx context.Context, tokenHash [sha256.Size]byte) (enroll.EncryptedPickup, error) {
	var p enroll.EncryptedPickup
	var d deviceRow
	var c certificateRow
	var expires, passwordUntil, lastRead sql.NullInt64
	into := []any{&p.Key, &p.Password, &expires, &passwordUntil, &p.Reads, &lastRead, &p.Number}
	into = append(append(into, d.fields()...), c.fields()...)
	err := db.One(ctx, `SELECT p.sealed_key, p.sealed_password, p.expires_at, p.password_until, p.reads, p.last_read, `+fileNumber+`,
		`+deviceColumns+`, `+certificateColumns+`
		FROM pickups p JOIN certificates c ON c.serial = p.serial JOIN devices d ON d.id = c.device_id
		WHERE p.token_hash = $1`, []any{tokenHash[:]}, into...)
	if err != nil {
		return enroll.EncryptedPickup{}, fmt.Errorf("finding pickup: %w", err)
	}
	p.TokenHash = tokenHash
	p.Expires, p.PasswordUntil, p.LastRead = sqldb.TimeOf(expires), sqldb.TimeOf(passwordUntil), sqldb.TimeOf(lastRead)
	p.Device = d.value()
	if p.Device.Certificate, err = c.value(); err != nil {
		return enroll.EncryptedPickup{}, fmt.Errorf("finding pickup: %w", err)
	}
	p.Serial, p.CertificateDER = p.Device.Certificate.Serial, p.Device.Certificate.DER
	return p, nil
}

// ClaimRead counts and records a read before it happens: no key leaves without an
// entry. portal.ErrConflict says that max reads are claimed or the key is wiped,
// portal.ErrNotFound that there never was such a pickup.
func (db Enrolments) ClaimRead(ctx context.Context, tokenHash [sha256.Size]byte, max int, entry audit.Entry) error {
	return db.write(ctx, "claiming read", func(ctx context.Context, t *tx) error {
		var serial string
		err := t.One(ctx, `UPDATE pickups SET claims = claims + 1
			WHERE token_hash = $1 AND claims < $2 AND sealed_key IS NOT NULL RETURNING serial`,
			[]any{tokenHash[:], max}, &serial)
		if errors.Is(err, portal.ErrNotFound) {
			return t.closed(ctx, tokenHash)
		}
		if err != nil {
			return err
		}
		return t.appendAbout(ctx, serial, entry)
	})
}

// closed distinguishes a closed pickup (portal.ErrConflict) from one that never
// existed (portal.ErrNotFound).
func (t *tx) closed(ctx context.Context, tokenHash [sha256.Size]byte) error {
	var serial string
	err := t.One(ctx, "SELECT serial FROM pickups WHERE token_hash = $1", []any{tokenHash[:]}, &serial)
	if err != nil {
		return err
	}
	return portal.ErrConflict
}

// ReturnRead gives back the claim of a read that broke off. Claims of confirmed
// reads cannot be given back.
func (db Enrolments) ReturnRead(ctx context.Context, tokenHash [sha256.Size]byte) error {
	return db.write(ctx, "returning read", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "UPDATE pickups SET claims = claims - 1 WHERE token_hash = $1 AND claims > reads", tokenHash[:])
		return err
	})
}

// ConfirmRead records that the file arrived; its claim is in the audit log. The key
// is wiped with the confirmation of read number max, not with its claim: until then
// an earlier read may break off and be repeated. A certificate that was revoked
// since stays as it is, and the read counts all the same.
func (db Enrolments) ConfirmRead(ctx context.Context, tokenHash [sha256.Size]byte, max int, at time.Time) error {
	return db.write(ctx, "confirming read", func(ctx context.Context, t *tx) error {
		var serial string
		var reads int
		err := t.One(ctx, `UPDATE pickups SET reads = reads + 1, last_read = $2,
			claims = CASE WHEN claims > reads THEN claims ELSE reads + 1 END,
			sealed_key = CASE WHEN reads + 1 >= $3 THEN NULL ELSE sealed_key END
			WHERE token_hash = $1 RETURNING serial, reads`,
			[]any{tokenHash[:], at.UnixMilli(), max}, &serial, &reads)
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, `UPDATE certificates SET delivered_at = $2
			WHERE serial = $1 AND delivered_at IS NULL AND status <> 'revoked'`, serial, at.UnixMilli())
		if err != nil {
			return fmt.Errorf("recording delivery of %s: %w", serial, err)
		}
		return nil
	})
}

// NotePart records that a part of the file was sent: the certificate counts as
// delivered, the read does not count. portal.ErrConflict says that the key is wiped,
// portal.ErrNotFound that there never was such a pickup.
func (db Enrolments) NotePart(ctx context.Context, tokenHash [sha256.Size]byte, at time.Time, entry audit.Entry) error {
	return db.write(ctx, "noting partial read", func(ctx context.Context, t *tx) error {
		var serial string
		err := t.One(ctx, `UPDATE certificates SET delivered_at = COALESCE(delivered_at, $2)
			WHERE status <> 'revoked'
			AND serial = (SELECT serial FROM pickups WHERE token_hash = $1 AND sealed_key IS NOT NULL)
			RETURNING serial`, []any{tokenHash[:], at.UnixMilli()}, &serial)
		if errors.Is(err, portal.ErrNotFound) {
			return t.closed(ctx, tokenHash)
		}
		if err != nil {
			return fmt.Errorf("recording delivery: %w", err)
		}
		return t.appendAbout(ctx, serial, entry)
	})
}

// wipeBatch bounds the pickups of one transaction of WipePickups.
const wipeBatch = 200

// WipePickups removes expired keys and passwords, and returns the number of pickups
// it changed. Each key that is wiped unread or before its last read gets a
// pickup.wiped entry by "system"; the others have entries of their reads.
func (db Enrolments) WipePickups(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for {
		touched := 0
		err := db.writeWithin(ctx, workWithin, "wiping pickups", func(ctx context.Context, t *tx) (err error) {
			touched, err = t.wipe(ctx, now)
			return err
		})
		total += touched
		if err != nil || touched < wipeBatch {
			return total, err
		}
	}
}

func (t *tx) wipe(ctx context.Context, now time.Time) (int, error) {
	due, err := t.duePickups(ctx, now)
	if err != nil {
		return 0, fmt.Errorf("listing pickups: %w", err)
	}
	var entries []audit.Entry
	touched := 0
	for _, hash := range due {
		serial, person, hadKey, err := t.wipeOne(ctx, hash, now)
		if errors.Is(err, portal.ErrNotFound) {
			continue // another replica was here first
		}
		if err != nil {
			return 0, err
		}
		touched++
		if hadKey {
			entries = append(entries, audit.Entry{
				At: now, Action: audit.PickupWiped, Actor: "system", Role: "system", Person: person, Object: serial,
			})
		}
	}
	return touched, t.append(ctx, entries...)
}

func (t *tx) duePickups(ctx context.Context, now time.Time) ([][]byte, error) {
	var due [][]byte
	err := t.All(ctx, `SELECT token_hash FROM pickups WHERE sealed_key IS NOT NULL AND expires_at <= $1
		UNION SELECT token_hash FROM pickups WHERE sealed_password IS NOT NULL AND password_until <= $1
		ORDER BY token_hash LIMIT $2`, []any{now.UnixMilli(), wipeBatch},
		func(rows *sql.Rows) error {
			var hash []byte
			err := rows.Scan(&hash)
			due = append(due, hash)
			return err
		})
	return due, err
}

// wipeOne wipes what has expired of a pickup; portal.ErrNotFound when nothing has.
func (t *tx) wipeOne(ctx context.Context, hash []byte, now time.Time) (serial, person string, hadKey bool, err error) {
	keys, err := t.Exec(ctx, `UPDATE pickups SET sealed_key = NULL
		WHERE token_hash = $1 AND sealed_key IS NOT NULL AND expires_at <= $2`, hash, now.UnixMilli())
	if err != nil {
		return "", "", false, fmt.Errorf("wiping key: %w", err)
	}
	passwords, err := t.Exec(ctx, `UPDATE pickups SET sealed_password = NULL
		WHERE token_hash = $1 AND sealed_password IS NOT NULL AND password_until <= $2`, hash, now.UnixMilli())
	if err != nil {
		return "", "", false, fmt.Errorf("wiping password: %w", err)
	}
	if keys+passwords == 0 {
		return "", "", false, portal.ErrNotFound
	}
	err = t.One(ctx, `SELECT c.serial, c.person FROM pickups p JOIN certificates c ON c.serial = p.serial
		WHERE p.token_hash = $1`, []any{hash}, &serial, &person)
	return serial, person, keys == 1, err
}
