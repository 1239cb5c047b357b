package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// Reserve records the intent to sign a certificate. Quota and name are decided under
// the person's lock, so parallel requests cannot both take the last place. A
// *portal.Refusal says why not, and a *portal.Denial that the certificate to be
// renewed is not in force or not the newest of its device. portal.ErrConflict says
// that the form was sent before (Attempted finds its outcome), that the serial or
// the key has a certificate, that the challenge was used or expired, or that the
// device was removed; portal.ErrNotFound that the device is not this person's;
// enroll.ErrFileInUse that what would end of it may be in use. An
// *enroll.UPNHeld says that other people have certificates with the UPN.
func (db Enrolments) Reserve(ctx context.Context, r enroll.Reservation) error {
	return db.write(ctx, "reserving serial "+r.Serial.String(), func(ctx context.Context, t *tx) error {
		before, err := t.reservePerson(ctx, r)
		if err != nil {
			return err
		}
		if err := t.insertCertificate(ctx, r); err != nil {
			return err
		}
		if err := (upstreamTx{t}).insert(ctx, r.Upstream); err != nil {
			return err
		}
		if err := t.useChallenge(ctx, r); err != nil {
			return err
		}
		redeemed, err := t.useInvitation(ctx, r)
		if err != nil {
			return err
		}
		entry := r.Entry
		if entry.Object == "" {
			entry.Object = r.Serial.String()
		}
		err = t.appendRecords(ctx, append(before, records(append(redeemed, entry)...)...)...)
		if err != nil {
			return err
		}
		if r.Kind != portal.KindUser && r.Person == "" {
			return nil
		}
		if err := t.checkUPN(ctx, r); err != nil {
			return err
		}
		if r.Upstream == nil {
			if err := checkAuthority(ctx, t, r.Issuer); err != nil {
				return err
			}
		}
		if err := (trialTx{t}).check(ctx, r.Upstream); err != nil {
			return err
		}
		return t.checkHalt(ctx)
	})
}

// reservePerson decides what a person and their device may have. It returns the records
// of what this ended.
func (t *tx) reservePerson(ctx context.Context, r enroll.Reservation) ([]record, error) {
	if r.Kind != portal.KindUser {
		return nil, nil
	}
	former, err := t.revokeFormer(ctx, r)
	if err != nil {
		return nil, err
	}
	ended, err := t.reserveDevice(ctx, r)
	if err != nil {
		return nil, err
	}
	return append(former, ended...), t.recordPersonNames(ctx, r)
}

// reserveDevice takes a place for a new device, or for the next certificate of a
// known one. It returns the records of what this ended.
func (t *tx) reserveDevice(ctx context.Context, r enroll.Reservation) ([]record, error) {
	if err := t.lockPerson(ctx, r.Person); err != nil {
		return nil, err
	}
	// Before the quota: a double tap on the last free place must not be refused
	// for want of one.
	if err := t.checkForm(ctx, r); err != nil {
		return nil, err
	}
	if r.NewDevice {
		if err := checkPlace(ctx, t, r, r.Device); err != nil {
			return nil, err
		}
		return nil, t.insertDevice(ctx, r)
	}
	known, err := t.device(ctx, r.Person, r.Device.ID)
	if err != nil {
		return nil, fmt.Errorf("finding device %s: %w", r.Device.ID, err)
	}
	if err := checkUsable(known); err != nil {
		return nil, err
	}
	if err := checkPlace(ctx, t, r, known); err != nil {
		return nil, err
	}
	if err := t.checkRenewable(ctx, r, known); err != nil {
		return nil, err
	}
	if r.Renews == (ca.Serial{}) && known.NewFileEnds(r.Requested) && r.Ends != known.Certificate.Serial {
		return nil, enroll.ErrFileInUse
	}
	return t.checkHolder(ctx, r)
}

// checkUsable refuses a device that gets no certificate any more.
func checkUsable(d portal.Device) error {
	switch {
	case !d.Removed.IsZero():
		return fmt.Errorf("device %s was removed: %w", d.ID, portal.ErrConflict)
	case !d.Blocked.IsZero():
		return &portal.Refusal{Reason: portal.DeviceBlocked, Value: d.Name}
	}
	return nil
}

func (t *tx) checkForm(ctx context.Context, r enroll.Reservation) error {
	if r.Idempotent == "" {
		return nil
	}
	var serial string
	err := t.One(ctx, "SELECT serial FROM certificates WHERE person = $1 AND form_hash = $2",
		[]any{string(r.Person), sqldb.HashOf(r.Idempotent)}, &serial)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("looking for an earlier attempt: %w", err)
	}
	return fmt.Errorf("form led to serial %s already: %w", serial, portal.ErrConflict)
}

// checkPlace refuses a device beyond the quota, and a name that another device has.
func checkPlace(ctx context.Context, q querier, r enroll.Reservation, device portal.Device) error {
	others, err := othersInUse(ctx, q, r.Person, device.ID, r.Requested)
	if err != nil {
		return err
	}
	if len(others) >= r.Quota {
		return &portal.Refusal{Reason: portal.QuotaReached, Limit: r.Quota}
	}
	return checkName(others, device.Name)
}

// othersInUse returns the name keys of all devices of a person but one. A device
// counts while it has a certificate that is pending or in force.
func othersInUse(ctx context.Context, q querier, person portal.PersonID, but portal.DeviceID, now time.Time) (map[portal.DeviceID]string, error) {
	others := make(map[portal.DeviceID]string)
	err := q.All(ctx, `SELECT d.id, d.name_key, c.status, COALESCE(c.ends_at, c.not_after)
		FROM devices d JOIN certificates c ON c.device_id = d.id
		WHERE d.person = $1 AND d.removed_at IS NULL AND c.status IN ('pending', 'issued', 'superseded')`, []any{string(person)},
		func(rows *sql.Rows) error {
			var id portal.DeviceID
			var name, status string
			var end sql.NullInt64
			err := rows.Scan(&id, &name, &status, &end)
			works := status == string(portal.Pending) || sqldb.TimeOf(end).After(now)
			if err == nil && id != but && works {
				others[id] = name
			}
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("counting devices: %w", err)
	}
	return others, nil
}

// checkName refuses a name that one of the others has.
func checkName(others map[portal.DeviceID]string, name string) error {
	if slices.Contains(slices.Collect(maps.Values(others)), NameKey(name)) {
		return &portal.Refusal{Reason: portal.NameTaken, Field: "name", Value: name}
	}
	return nil
}

// NameKey is equal for names that people take for the same.
func NameKey(name string) string { return portal.Fold(name) }

func (t *tx) insertDevice(ctx context.Context, r enroll.Reservation) error {
	created := r.Device.Created
	if created.IsZero() {
		created = r.Requested
	}
	_, err := t.Exec(ctx, `INSERT INTO devices (id, person, name, name_key, platform, created_at, profile)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		string(r.Device.ID), string(r.Person), r.Device.Name, NameKey(r.Device.Name), string(r.Device.Platform),
		created.UnixMilli(), sqldb.Optional(r.Device.Profile))
	if err != nil {
		return fmt.Errorf("recording device %s: %w", r.Device.ID, err)
	}
	return nil
}

func (t *tx) insertCertificate(ctx context.Context, r enroll.Reservation) error {
	issuer, authority := kindOf(r.Issuer)
	holder := r.Person
	if r.Kind != portal.KindUser {
		holder = ""
	}
	_, err := t.Exec(ctx, `INSERT INTO certificates
		(serial, issuer, kind, profile, status, person, device_id, upn, sid, mail, key_hash, form_hash,
		not_before, not_after, requested_at, upn_key, authority)
		VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		r.Serial.String(), issuer, string(r.Kind), r.Profile, sqldb.Optional(string(holder)), sqldb.Optional(string(r.Device.ID)),
		r.Subject.UPN, r.Subject.SID, r.Subject.Mail, r.PublicKey[:], sqldb.HashOf(r.Idempotent),
		r.NotBefore.UnixMilli(), r.NotAfter.UnixMilli(), r.Requested.UnixMilli(), portal.Fold(r.Subject.UPN), authority)
	if err != nil {
		return fmt.Errorf("recording certificate: %w", err)
	}
	return nil
}

// Attempted finds the outcome of a form: a pending attempt counts, one whose
// certificate was revoked does not.
func (db Enrolments) Attempted(ctx context.Context, person portal.PersonID, token string) (enroll.Enrolment, error) {
	if token == "" || !sqldb.Storable(string(person)) {
		return enroll.Enrolment{}, fmt.Errorf("finding attempt: %w", portal.ErrNotFound)
	}
	var serial, device string
	err := db.One(ctx, "SELECT serial, device_id FROM certificates WHERE person = $1 AND form_hash = $2",
		[]any{string(person), sqldb.HashOf(token)}, &serial, &device)
	if err != nil {
		return enroll.Enrolment{}, fmt.Errorf("finding attempt: %w", err)
	}
	found := enroll.Enrolment{Device: portal.DeviceID(device), Again: true}
	found.Serial, err = serialOf(serial)
	return found, err
}
