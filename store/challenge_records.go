package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store/sqldb"
)

// challengeColumns are the columns of a challenge h, without its device d.
const challengeColumns = `h.id, h.secret_hash, h.token_hash, h.names_hash, h.made_at, h.expires_at, h.used_at, h.invitation, h.renews,
	h.serial, h.ends, h.mac, (SELECT count(*) + 1 FROM certificates n WHERE n.person = d.person)`

// AddChallenge records the right of a device to enrol, and the device when it is
// new. An earlier unused challenge of the device is deleted: only the last profile
// works. Quota and name are decided again by Reserve.
func (db Enrolments) AddChallenge(ctx context.Context, c enroll.StoredChallenge, quota int, entry audit.Entry) error {
	return db.write(ctx, "recording challenge", func(ctx context.Context, t *tx) error {
		r := enroll.Reservation{Person: c.Device.Person, Device: c.Device, Requested: c.Made, Quota: quota}
		if err := t.challengedDevice(ctx, &r); err != nil {
			return err
		}
		if err := checkInvitation(ctx, t, t.secret, r.Person, c.Invitation, c.Made); err != nil {
			return err
		}
		_, err := t.Exec(ctx, "DELETE FROM challenges WHERE device_id = $1 AND used_at IS NULL", string(r.Device.ID))
		if err != nil {
			return fmt.Errorf("dropping earlier challenges: %w", err)
		}
		mac := challengeMAC(t.secret, c)
		_, err = t.Exec(ctx, `INSERT INTO challenges
			(id, secret_hash, token_hash, device_id, names_hash, made_at, expires_at, invitation, renews, ends, mac)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			string(c.ID), c.SecretHash[:], c.TokenHash[:], string(r.Device.ID), c.Names[:], c.Made.UnixMilli(), c.Expires.UnixMilli(),
			sqldb.Optional(string(c.Invitation)), c.Renew, optionalSerial(c.Ends), mac[:])
		if err != nil {
			return fmt.Errorf("recording challenge: %w", err)
		}
		return t.append(ctx, entry)
	})
}

// challengedDevice finds the device of a challenge or creates it, under the lock of
// its person.
func (t *tx) challengedDevice(ctx context.Context, r *enroll.Reservation) error {
	if err := t.lockPerson(ctx, r.Person); err != nil {
		return err
	}
	known, err := t.device(ctx, r.Person, r.Device.ID)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		if err := checkPlace(ctx, t, *r, r.Device); err != nil {
			return err
		}
		return t.insertDevice(ctx, *r)
	case err != nil:
		return fmt.Errorf("finding device %s: %w", r.Device.ID, err)
	}
	if err := checkUsable(known); err != nil {
		return err
	}
	return checkPlace(ctx, t, *r, known)
}

// ChallengeBySecret finds a challenge by the hash of the secret that the device
// presents.
func (db Enrolments) ChallengeBySecret(ctx context.Context, hash [sha256.Size]byte) (enroll.StoredChallenge, error) {
	return db.challenge(ctx, "h.secret_hash = $1", hash[:])
}

// ChallengeByToken finds a challenge by the hash of the token in the address.
func (db Enrolments) ChallengeByToken(ctx context.Context, hash [sha256.Size]byte) (enroll.StoredChallenge, error) {
	return db.challenge(ctx, "h.token_hash = $1", hash[:])
}

// OpenChallenge finds the challenge that a device of the person may still use.
func (db Enrolments) OpenChallenge(ctx context.Context, person portal.PersonID, device portal.DeviceID, now time.Time) (enroll.StoredChallenge, error) {
	if !sqldb.Storable(string(person)) || !sqldb.Storable(string(device)) {
		return enroll.StoredChallenge{}, fmt.Errorf("finding challenge: %w", portal.ErrNotFound)
	}
	return db.challenge(ctx, `d.id = $1 AND d.person = $2 AND d.removed_at IS NULL AND h.used_at IS NULL AND h.expires_at > $3`,
		string(device), string(person), now.UnixMilli())
}

func (db Enrolments) challenge(ctx context.Context, where string, args ...any) (enroll.StoredChallenge, error) {
	var c enroll.StoredChallenge
	var d deviceRow
	var secret, token, names, mac []byte
	var made, expires, used sql.NullInt64
	var invitation, serial, ends sql.NullString
	into := append([]any{&c.ID, &secret, &token, &names, &made, &expires, &used, &invitation, &c.Renew, &serial, &ends, &mac, &c.Number}, d.fields()...)
	err := db.One(ctx, `SELECT `+challengeColumns+`, `+deviceColumns+`
		FROM challenges h JOIN devices d ON d.id = h.device_id WHERE `+where, args, into...)
	if err != nil {
		return enroll.StoredChallenge{}, fmt.Errorf("finding challenge: %w", err)
	}
	var errs [5]error
	c.SecretHash, errs[0] = sqldb.Hash32(secret)
	c.TokenHash, errs[1] = sqldb.Hash32(token)
	c.Names, errs[2] = sqldb.Hash32(names)
	if serial.Valid {
		c.Serial, errs[3] = serialOf(serial.String)
	}
	if ends.Valid {
		c.Ends, errs[4] = serialOf(ends.String)
	}
	c.Device, c.Invitation = d.value(), signin.InvitationID(invitation.String)
	c.Made, c.Expires, c.Used = sqldb.TimeOf(made), sqldb.TimeOf(expires), sqldb.TimeOf(used)
	if err := errors.Join(errs[:]...); err != nil {
		return enroll.StoredChallenge{}, err
	}
	if !proves(mac, challengeMAC(db.secret, c)) {
		db.Log().Warn("a challenge was not recorded by this portal, or changed in the database: it opens nothing", "challenge", c.ID)
		return enroll.StoredChallenge{}, fmt.Errorf("authenticating challenge: %w", portal.ErrNotFound)
	}
	return c, nil
}

// useChallenge ties a challenge to the certificate that is reserved with it.
// portal.ErrConflict says that it was used, expired or was replaced.
func (t *tx) useChallenge(ctx context.Context, r enroll.Reservation) error {
	if r.Challenge == [sha256.Size]byte{} {
		return nil
	}
	touched, err := t.Exec(ctx, `UPDATE challenges SET used_at = $2, serial = $3
		WHERE secret_hash = $1 AND used_at IS NULL AND expires_at > $2 AND device_id = $4`,
		r.Challenge[:], r.Requested.UnixMilli(), r.Serial.String(), string(r.Device.ID))
	if err != nil {
		return fmt.Errorf("using challenge: %w", err)
	}
	if touched == 0 {
		return fmt.Errorf("using challenge: %w", portal.ErrConflict)
	}
	return nil
}

// Held finds the device that a certificate belongs to, with that certificate in it,
// in any status. It finds only certificates whose key the device made: the holder of
// a file and its password must not get a key that lasts.
func (db Enrolments) Held(ctx context.Context, serial ca.Serial) (portal.Device, error) {
	device, err := scanDevice(func(into ...any) error {
		return db.One(ctx, `SELECT `+deviceColumns+`, `+certificateColumns+`
			FROM certificates c JOIN devices d ON d.id = c.device_id WHERE c.serial = $1
			AND NOT EXISTS (SELECT 1 FROM pickups p WHERE p.serial = c.serial)`, []any{serial.String()}, into...)
	})
	if err != nil {
		return portal.Device{}, fmt.Errorf("finding holder of %s: %w", serial, err)
	}
	return device, nil
}

// challengeRetention is how long a challenge is kept after its end.
const challengeRetention = time.Hour

// PruneChallenges deletes challenges an hour after their end, with devices that
// never got a certificate, and RA keys after theirs. It returns the number of
// challenges.
func (db Enrolments) PruneChallenges(ctx context.Context, now time.Time) (int, error) {
	gone := 0
	err := db.writeWithin(ctx, workWithin, "pruning challenges", func(ctx context.Context, t *tx) error {
		gone = 0
		var devices []string
		err := t.All(ctx, "DELETE FROM challenges WHERE expires_at <= $1 RETURNING device_id",
			[]any{now.Add(-challengeRetention).UnixMilli()}, func(rows *sql.Rows) error {
				var device string
				err := rows.Scan(&device)
				devices = append(devices, device)
				return err
			})
		if err != nil {
			return err
		}
		gone = len(devices)
		for _, device := range devices {
			_, err := t.Exec(ctx, `DELETE FROM devices WHERE id = $1
				AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.device_id = devices.id)
				AND NOT EXISTS (SELECT 1 FROM challenges h WHERE h.device_id = devices.id)`, device)
			if err != nil {
				return fmt.Errorf("dropping device %s that never came: %w", device, err)
			}
		}
		_, err = t.Exec(ctx, "DELETE FROM agents WHERE not_after <= $1", now.UnixMilli())
		return err
	})
	if err != nil {
		return 0, err
	}
	return gone, nil
}
