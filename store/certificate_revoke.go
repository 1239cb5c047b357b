package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// fewSerials is what one request of a person revokes at most. A sweep revokes
// hundreds, each with several statements, in the background.
const fewSerials = 10

// Revoke revokes the named certificates that are pending, issued or superseded, and
// returns them. Each loses its pickup and frees its form, so that the person may
// send it again. Entry.Action may be empty and is then certificate.revoked; the
// details cause, upn and device are added. RemoveDevice and BlockDevice revoke every
// certificate of their device; when it has none, the audit log gets an
// [audit.DeviceRemoved] or [audit.DeviceBlocked] entry instead. portal.ErrNotFound
// says that the device does not exist, enroll.ErrSecondPerson that r.Alone would be
// exceeded.
func (db Enrolments) Revoke(ctx context.Context, r enroll.Revocation) ([]ca.Serial, error) {
	var ended []ca.Serial
	within := answerWithin
	if len(r.Serials) > fewSerials {
		within = workWithin
	}
	err := db.writeWithin(ctx, within, "revoking", func(ctx context.Context, t *tx) error {
		ended = nil
		var err error
		if r.Serials, err = (upstreamTx{t}).lockCurrent(ctx, r.Serials); err != nil {
			return err
		}
		serials, err := t.toEnd(ctx, r)
		if err != nil {
			return err
		}
		var all []record
		for _, serial := range sortedUnique(serials) {
			about, err := t.endIfLive(ctx, serial, r)
			if err != nil {
				return err
			}
			if len(about) > 0 {
				ended = append(ended, serial)
				all = append(all, about...)
			}
		}
		closing, err := t.closeDevice(ctx, r, len(all) > 0)
		if err != nil {
			return err
		}
		closed, err := t.closePerson(ctx, r)
		if err != nil {
			return err
		}
		if err := t.appendRecords(ctx, slices.Concat(all, records(closing...), records(closed...))...); err != nil {
			return err
		}
		return t.checkAlone(ctx, r.Alone, len(ended))
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// toEnd lists the certificates that a revocation ends: those of the device, those it
// names, and what these superseded. It locks the owner of the device.
func (t *tx) toEnd(ctx context.Context, r enroll.Revocation) ([]ca.Serial, error) {
	held, err := t.liveOfDevices(ctx, r.RemoveDevice, r.BlockDevice)
	if err != nil {
		return nil, err
	}
	if r.CloseOnly {
		return nil, t.wipePickups(ctx, r)
	}
	serials, err := t.withFormer(ctx, r)
	return append(held, serials...), err
}

// wipePickups ends the files that wait for a device or a person whose certificates stay
// in force.
func (t *tx) wipePickups(ctx context.Context, r enroll.Revocation) error {
	_, err := t.Exec(ctx, `UPDATE pickups SET sealed_key = NULL, sealed_password = NULL
		WHERE serial IN (SELECT serial FROM certificates WHERE device_id = $1 OR person = $2)`,
		string(r.BlockDevice), string(r.EndPerson))
	if err != nil {
		return fmt.Errorf("wiping pickups: %w", err)
	}
	return upstreamTx{t}.wipeKeys(ctx, "SELECT serial FROM certificates WHERE device_id = $1 OR person = $2", string(r.BlockDevice), string(r.EndPerson))
}

// withFormer adds to the serials of a revocation what they superseded: a device that
// loses its certificate must not go on with the one before. When the newer one was
// only never delivered, or was replaced, the former stays.
func (t *tx) withFormer(ctx context.Context, r enroll.Revocation) ([]ca.Serial, error) {
	if slices.Contains([]portal.Cause{portal.Undelivered, portal.Abandoned, portal.Replaced}, r.Cause) {
		return r.Serials, nil
	}
	return t.eachWithFormer(ctx, r.Serials)
}

// eachWithFormer lists serials, each with what it superseded behind it.
func (t *tx) eachWithFormer(ctx context.Context, serials []ca.Serial) ([]ca.Serial, error) {
	var all []ca.Serial
	for _, serial := range serials {
		former, err := t.supersededBy(ctx, serial)
		if err != nil {
			return nil, err
		}
		all = append(append(all, serial), former...)
	}
	return all, nil
}

// supersededBy lists what a certificate superseded and what has not ended yet.
func (t *tx) supersededBy(ctx context.Context, serial ca.Serial) ([]ca.Serial, error) {
	var former []ca.Serial
	err := t.All(ctx, "SELECT serial FROM certificates WHERE superseded_by = $1 AND status = 'superseded' ORDER BY serial",
		[]any{serial.String()}, func(rows *sql.Rows) error { return scanSerial(rows, &former) })
	if err != nil {
		return nil, fmt.Errorf("finding what %s superseded: %w", serial, err)
	}
	return former, nil
}

// closePerson ends what could give a person more certificates, and returns the
// entries of that.
func (t *tx) closePerson(ctx context.Context, r enroll.Revocation) ([]audit.Entry, error) {
	if r.EndPerson == "" {
		return nil, nil
	}
	person, at := string(r.EndPerson), r.At.UnixMilli()
	for _, query := range []string{
		"DELETE FROM challenges WHERE used_at IS NULL AND device_id IN (SELECT id FROM devices WHERE person = $1)",
		"UPDATE sessions SET ended = TRUE, data = NULL WHERE person = $1 AND NOT ended",
	} {
		if _, err := t.Exec(ctx, query, person); err != nil {
			return nil, fmt.Errorf("ending sessions and challenges: %w", err)
		}
	}
	_, err := t.Exec(ctx, "UPDATE handoffs SET state = $3, closed_at = $2 WHERE person = $1 AND closed_at IS NULL",
		person, at, string(signin.HandoffEnded))
	if err != nil {
		return nil, fmt.Errorf("ending hand-off: %w", err)
	}
	base := r.Entry
	base.Action, base.Detail = audit.InvitationEnded, map[string]string{"cause": string(r.Cause)}
	return t.endInvitations(ctx, r.EndPerson, r.At, base)
}

// endIfLive revokes one certificate, and restores what it superseded if it was never
// delivered. It returns the records of that, none when it is not in force.
func (t *tx) endIfLive(ctx context.Context, serial ca.Serial, r enroll.Revocation) ([]record, error) {
	live, err := t.live(ctx, serial, r.Cause)
	if err != nil || !live {
		return nil, err
	}
	ended, err := t.end(ctx, serial, r.Cause, r.At, r.Entry)
	if err != nil {
		return nil, err
	}
	all := []record{ended}
	if r.Cause == portal.Undelivered || r.Cause == portal.Abandoned {
		again, err := t.restore(ctx, serial, r.Entry)
		if err != nil {
			return nil, err
		}
		all = append(all, records(again...)...)
	}
	return all, nil
}

// closeDevice removes or blocks the device of a revocation. reported says that
// entries about its certificates report that already.
func (t *tx) closeDevice(ctx context.Context, r enroll.Revocation, reported bool) ([]audit.Entry, error) {
	removed, err := t.removeDevice(ctx, r)
	if err != nil {
		return nil, err
	}
	blocked, err := t.blockDevice(ctx, r)
	if err != nil || reported {
		return nil, err
	}
	var entries []audit.Entry
	if removed {
		entries = append(entries, aboutDevice(r, audit.DeviceRemoved, r.RemoveDevice))
	}
	if blocked {
		entries = append(entries, aboutDevice(r, audit.DeviceBlocked, r.BlockDevice))
	}
	return entries, nil
}

// liveOfDevices locks the owners of devices and lists what these hold.
func (t *tx) liveOfDevices(ctx context.Context, devices ...portal.DeviceID) ([]ca.Serial, error) {
	var all []ca.Serial
	for _, device := range devices {
		if err := t.lockOwner(ctx, device); err != nil {
			return nil, err
		}
		held, err := t.liveOf(ctx, device)
		if err != nil {
			return nil, err
		}
		all = append(all, held...)
	}
	return all, nil
}

// liveOf lists the pending, issued and superseded certificates of a device.
func (t *tx) liveOf(ctx context.Context, device portal.DeviceID) ([]ca.Serial, error) {
	if device == "" {
		return nil, nil
	}
	all, err := t.heldOf(ctx, device)
	if err != nil {
		return nil, err
	}
	serials := make([]ca.Serial, len(all))
	for i, h := range all {
		serials[i] = h.serial
	}
	return serials, nil
}

// live reports whether a certificate is pending, issued or superseded. One that was
// fetched since it was listed as undelivered is not to be revoked as such.
func (t *tx) live(ctx context.Context, serial ca.Serial, cause portal.Cause) (bool, error) {
	var n int
	err := t.One(ctx, `SELECT count(*) FROM certificates WHERE serial = $1 AND status IN ('pending', 'issued', 'superseded')
		AND (delivered_at IS NULL OR $2)`, []any{serial.String(), cause != portal.Undelivered}, &n)
	if err != nil {
		return false, fmt.Errorf("reading status of %s: %w", serial, err)
	}
	return n == 1, nil
}

// end revokes one certificate, wipes its pickup and drops its mismatches. The record
// is made from base and says which certificate, of which person and why; without the
// transaction does not commit.
func (t *tx) end(ctx context.Context, serial ca.Serial, cause portal.Cause, at time.Time, base audit.Entry) (record, error) {
	return t.endAs(ctx, serial, cause, cause.ReasonCode(), at, base)
}

// endAs is [tx.end] with a reason code that may be another than that of the cause.
func (t *tx) endAs(ctx context.Context, serial ca.Serial, cause portal.Cause, reason int, at time.Time, base audit.Entry) (record, error) {
	var upn string
	var device, person sql.NullString
	row := revocation{serial: serial.String(), at: at.UnixMilli(), reason: reason}
	err := t.One(ctx, `UPDATE certificates
		SET status = 'revoked', revoked_at = $2, cause = $3, reason_code = $4, form_hash = NULL
		WHERE serial = $1 AND status <> 'revoked' RETURNING upn, device_id, person, COALESCE(authority, issuer), not_after`,
		[]any{row.serial, row.at, string(cause), row.reason}, &upn, &device, &person, &row.issuer, &row.notAfter)
	if err != nil {
		return record{}, fmt.Errorf("revoking %s: %w", serial, err)
	}
	_, err = t.Exec(ctx, "UPDATE pickups SET sealed_key = NULL, sealed_password = NULL WHERE serial = $1", row.serial)
	if err != nil {
		return record{}, fmt.Errorf("wiping pickup of %s: %w", serial, err)
	}
	if _, err := t.Exec(ctx, "DELETE FROM marks WHERE serial = $1", row.serial); err != nil {
		return record{}, fmt.Errorf("dropping mismatches of %s: %w", serial, err)
	}
	entry := base
	entry.Object = row.serial
	if entry.Action == "" {
		entry.Action = audit.CertificateRevoked
	}
	if entry.Person == "" {
		entry.Person = person.String
	}
	reopened := ""
	if cause == portal.Abandoned {
		// A certificate that the portal did not manage to make uses up no code.
		if reopened, err = t.reopenInvitation(ctx, row.serial); err != nil {
			return record{}, err
		}
	}
	entry.Detail = withDetail(base.Detail, "cause", string(cause), "upn", upn, "device", device.String, "reopened", reopened)
	return t.revoke(entry, row), nil
}

// removeDevice marks the device as removed and reports whether it was not yet.
func (t *tx) removeDevice(ctx context.Context, r enroll.Revocation) (bool, error) {
	if r.RemoveDevice == "" {
		return false, nil
	}
	touched, err := t.Exec(ctx, "UPDATE devices SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL",
		string(r.RemoveDevice), r.At.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("removing device %s: %w", r.RemoveDevice, err)
	}
	return touched == 1, nil
}

// withDetail adds keys and values to a copy of the details of an entry. Empty values
// are left out.
func withDetail(base map[string]string, facts ...string) map[string]string {
	detail := make(map[string]string, len(base)+len(facts)/2)
	maps.Copy(detail, base)
	for pair := range slices.Chunk(facts, 2) {
		if pair[1] != "" {
			detail[pair[0]] = pair[1]
		}
	}
	return detail
}
