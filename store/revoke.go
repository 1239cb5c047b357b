package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"certportal/ca"
	"certportal/enroll"
	"certportal/ledger"
)

// fewSerials is what a person ends at once. A sweep ends hundreds, each with a
// handful of statements, and nobody waits for it.
const fewSerials = 10

// Revoke ends the certificates named that are pending or issued, for good, and
// returns them. Each loses its pickup and frees its form, so that the person may
// send it again. Entry.Action may be empty and is then certificate.revoked; the
// details cause, upn and device are added. RemoveDevice ends whatever its device
// holds; when that is nothing, the ledger gets a [ledger.DeviceRemoved] entry instead.
// enroll.ErrNotFound says that the device to remove does not exist.
func (db *DB) Revoke(ctx context.Context, r enroll.Revocation) ([]ca.Serial, error) {
	var ended []ca.Serial
	within := answerWithin
	if len(r.Serials) > fewSerials {
		within = workWithin
	}
	err := db.writeWithin(ctx, within, "revoking", func(ctx context.Context, t *tx) error {
		ended = nil
		if err := t.lockOwners(ctx, r.Serials); err != nil {
			return err
		}
		if err := t.lockOwner(ctx, r.RemoveDevice); err != nil {
			return err
		}
		ofDevice, err := t.liveOf(ctx, r.RemoveDevice)
		if err != nil {
			return err
		}
		var entries []ledger.Entry
		for _, serial := range inOrder(append(ofDevice, r.Serials...)) {
			live, err := t.live(ctx, serial)
			if err != nil {
				return err
			}
			if !live {
				continue
			}
			entry, err := t.end(ctx, serial, r.Cause, r.At, r.Entry)
			if err != nil {
				return err
			}
			ended = append(ended, serial)
			entries = append(entries, entry)
		}
		removed, err := t.removeDevice(ctx, r)
		if err != nil {
			return err
		}
		if removed && len(entries) == 0 {
			entries = append(entries, removal(r))
		}
		return t.append(ctx, entries...)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// inOrder sorts and thins the serials: everybody takes row locks in the same
// order, so that two revocations do not wait for each other.
func inOrder(serials []ca.Serial) []ca.Serial {
	sorted := slices.SortedFunc(slices.Values(serials), ca.Serial.Compare)
	return slices.Compact(sorted)
}

// lockOwners locks the people of certificates, in the order of their ids.
func (t *tx) lockOwners(ctx context.Context, serials []ca.Serial) error {
	owners := make(map[enroll.PersonID]bool)
	for _, serial := range serials {
		err := t.all(ctx, "SELECT person FROM certificates WHERE serial = $1 AND person IS NOT NULL",
			[]any{serial.String()}, func(rows *sql.Rows) error {
				var person enroll.PersonID
				err := rows.Scan(&person)
				owners[person] = true
				return err
			})
		if err != nil {
			return fmt.Errorf("finding owner of %s: %w", serial, err)
		}
	}
	for _, person := range slices.Sorted(maps.Keys(owners)) {
		if err := t.lockPerson(ctx, person); err != nil {
			return err
		}
	}
	return nil
}

// lockOwner locks the person of a device; the empty device needs no lock.
func (t *tx) lockOwner(ctx context.Context, device enroll.DeviceID) error {
	if device == "" {
		return nil
	}
	var person enroll.PersonID
	if err := t.one(ctx, "SELECT person FROM devices WHERE id = $1", []any{string(device)}, &person); err != nil {
		return fmt.Errorf("finding owner of device %s: %w", device, err)
	}
	return t.lockPerson(ctx, person)
}

// liveOf lists the pending and issued certificates of a device.
func (t *tx) liveOf(ctx context.Context, device enroll.DeviceID) ([]ca.Serial, error) {
	if device == "" {
		return nil, nil
	}
	var serials []ca.Serial
	err := t.all(ctx, "SELECT serial FROM certificates WHERE device_id = $1 AND status IN ('pending', 'issued')",
		[]any{string(device)}, func(rows *sql.Rows) error {
			var stored string
			if err := rows.Scan(&stored); err != nil {
				return err
			}
			serial, err := serialOf(stored)
			serials = append(serials, serial)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing certificates of device %s: %w", device, err)
	}
	return serials, nil
}

// live reports whether a certificate is pending or issued.
func (t *tx) live(ctx context.Context, serial ca.Serial) (bool, error) {
	var n int
	err := t.one(ctx, "SELECT count(*) FROM certificates WHERE serial = $1 AND status IN ('pending', 'issued')",
		[]any{serial.String()}, &n)
	if err != nil {
		return false, fmt.Errorf("reading status of %s: %w", serial, err)
	}
	return n == 1, nil
}

// end revokes one certificate, wipes its pickup and drops its marks. The returned
// entry is made from base and tells which one, of whom and why.
func (t *tx) end(ctx context.Context, serial ca.Serial, cause enroll.Cause, at time.Time, base ledger.Entry) (ledger.Entry, error) {
	var upn string
	var device, person sql.NullString
	err := t.one(ctx, `UPDATE certificates
		SET status = 'revoked', revoked_at = $2, cause = $3, reason_code = $4, form_hash = NULL
		WHERE serial = $1 AND status <> 'revoked' RETURNING upn, device_id, person`,
		[]any{serial.String(), at.UnixMilli(), string(cause), cause.ReasonCode()}, &upn, &device, &person)
	if err != nil {
		return base, fmt.Errorf("revoking %s: %w", serial, err)
	}
	_, err = t.exec(ctx, "UPDATE pickups SET sealed_key = NULL, sealed_password = NULL WHERE serial = $1", serial.String())
	if err != nil {
		return base, fmt.Errorf("wiping pickup of %s: %w", serial, err)
	}
	if _, err := t.exec(ctx, "DELETE FROM marks WHERE serial = $1", serial.String()); err != nil {
		return base, fmt.Errorf("dropping marks of %s: %w", serial, err)
	}
	entry := base
	entry.Object = serial.String()
	if entry.Action == "" {
		entry.Action = ledger.CertificateRevoked
	}
	if entry.Person == "" {
		entry.Person = person.String
	}
	entry.Detail = detailed(base.Detail, "cause", string(cause), "upn", upn, "device", device.String)
	return entry, nil
}

// removeDevice marks the device as removed and reports whether it was not yet.
func (t *tx) removeDevice(ctx context.Context, r enroll.Revocation) (bool, error) {
	if r.RemoveDevice == "" {
		return false, nil
	}
	touched, err := t.exec(ctx, "UPDATE devices SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL",
		string(r.RemoveDevice), r.At.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("removing device %s: %w", r.RemoveDevice, err)
	}
	return touched == 1, nil
}

func removal(r enroll.Revocation) ledger.Entry {
	entry := r.Entry
	entry.Action = ledger.DeviceRemoved
	entry.Object = string(r.RemoveDevice)
	entry.Detail = detailed(r.Entry.Detail, "cause", string(r.Cause))
	return entry
}

// detailed adds facts, given as keys and values, to a copy of the details of an
// entry. Empty values are left out.
func detailed(base map[string]string, facts ...string) map[string]string {
	detail := make(map[string]string, len(base)+len(facts)/2)
	maps.Copy(detail, base)
	for pair := range slices.Chunk(facts, 2) {
		if pair[1] != "" {
			detail[pair[0]] = pair[1]
		}
	}
	return detail
}
