package store

import (
	"context"
	"database/sql"
	"fmt"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store/sqldb"
)

// blockDevice marks the device as blocked, closes every way to another certificate
// for it, and reports whether it was not blocked yet. The person's open hand-off is
// ended too, as its code may be on the screen of a stolen device; and for a lost
// device, the person's other sessions.
func (t *tx) blockDevice(ctx context.Context, r enroll.Revocation) (bool, error) {
	if r.BlockDevice == "" {
		return false, nil
	}
	var person string
	touched := 0
	err := t.All(ctx, "UPDATE devices SET blocked_at = $2 WHERE id = $1 AND blocked_at IS NULL RETURNING person",
		[]any{string(r.BlockDevice), r.At.UnixMilli()}, func(rows *sql.Rows) error {
			touched++
			return rows.Scan(&person)
		})
	if err != nil {
		return false, fmt.Errorf("blocking device %s: %w", r.BlockDevice, err)
	}
	if touched == 0 {
		return false, nil
	}
	_, err = t.Exec(ctx, "DELETE FROM challenges WHERE device_id = $1 AND used_at IS NULL", string(r.BlockDevice))
	if err != nil {
		return false, fmt.Errorf("dropping challenges of device %s: %w", r.BlockDevice, err)
	}
	_, err = t.Exec(ctx, "UPDATE handoffs SET state = $3, closed_at = $2 WHERE person = $1 AND closed_at IS NULL",
		person, r.At.UnixMilli(), string(signin.HandoffEnded))
	if err != nil {
		return false, fmt.Errorf("ending hand-off: %w", err)
	}
	return true, t.endOtherSessions(ctx, person, r)
}

// endOtherSessions ends the person's sessions but the current one when a device was
// lost: any of them may be open on it, and may ask for a certificate.
func (t *tx) endOtherSessions(ctx context.Context, person string, r enroll.Revocation) error {
	if r.Cause != portal.Lost {
		return nil
	}
	_, err := t.Exec(ctx, `UPDATE sessions SET ended = $3, data = NULL, end_cause = $4
		WHERE person = $1 AND id_hash <> $2 AND NOT ended`, person, r.KeepSession[:], true, string(r.Cause))
	if err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	return nil
}

// aboutDevice is the entry of a device that held no certificate to revoke.
func aboutDevice(r enroll.Revocation, action audit.Action, device portal.DeviceID) audit.Entry {
	entry := r.Entry
	entry.Action = action
	entry.Object = string(device)
	entry.Detail = withDetail(r.Entry.Detail, "cause", string(r.Cause))
	return entry
}

// Rename gives a device another name, under its person's lock. A *portal.Refusal
// says that another device in use has it; the error wraps portal.ErrNotFound when
// the device is not the person's or was removed. The name it has already changes
// nothing and leaves no entry.
func (db Enrolments) Rename(ctx context.Context, r enroll.Renaming) error {
	if !sqldb.Storable(string(r.Person)) || !sqldb.Storable(string(r.Device)) {
		return fmt.Errorf("renaming device %q: %w", r.Device, portal.ErrNotFound)
	}
	return db.write(ctx, "renaming device "+string(r.Device), func(ctx context.Context, t *tx) error {
		// The lock is the row of the device's owner: no row is made for another person.
		if err := t.lockOwner(ctx, r.Device); err != nil {
			return err
		}
		known, err := t.device(ctx, r.Person, r.Device)
		switch {
		case err != nil:
			return err
		case !known.Removed.IsZero():
			return portal.ErrNotFound
		case known.Name == r.Name:
			return nil
		}
		others, err := othersInUse(ctx, t, r.Person, r.Device, r.At)
		if err != nil {
			return err
		}
		if err := checkName(others, r.Name); err != nil {
			return err
		}
		_, err = t.Exec(ctx, "UPDATE devices SET name = $2, name_key = $3 WHERE id = $1", string(r.Device), r.Name, NameKey(r.Name))
		if err != nil {
			return fmt.Errorf("recording name: %w", err)
		}
		entry := r.Entry
		entry.Detail = withDetail(entry.Detail, "device", string(r.Device), "name", r.Name, "was", known.Name)
		return t.append(ctx, entry)
	})
}
