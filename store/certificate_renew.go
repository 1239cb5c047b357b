package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// held is a certificate of a device that is pending or in force, or was until it
// expired.
type held struct {
	serial    ca.Serial
	status    portal.Status
	notAfter  time.Time
	end       time.Time // notAfter, or the earlier end of a superseded one
	delivered bool
	next      string // serial of what superseded it; empty for others
}

// heldOf lists the certificates of a device, in the order of row locks.
func (t *tx) heldOf(ctx context.Context, device portal.DeviceID) ([]held, error) {
	var all []held
	err := t.All(ctx, `SELECT serial, status, not_after, COALESCE(ends_at, not_after), delivered_at, superseded_by
		FROM certificates WHERE device_id = $1 AND status IN ('pending', 'issued', 'superseded') ORDER BY serial`,
		[]any{string(device)}, func(rows *sql.Rows) error {
			var h held
			var serial string
			var next sql.NullString
			var notAfter, end, delivered sql.NullInt64
			err := rows.Scan(&serial, &h.status, &notAfter, &end, &delivered, &next)
			if err != nil {
				return err
			}
			h.serial, err = serialOf(serial)
			h.notAfter, h.end, h.delivered, h.next = sqldb.TimeOf(notAfter), sqldb.TimeOf(end), delivered.Valid, next.String
			all = append(all, h)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing certificates of device %s: %w", device, err)
	}
	return all, nil
}

// inForce reports whether the certificate is valid at the time, or pending.
func (h held) inForce(now time.Time) bool { return h.status == portal.Pending || h.end.After(now) }

// checkRenewable decides under the person's lock whether it is time for a renewal. Of
// two that a person asks for at the same time, the second finds the first under way. A
// device that shows its certificate gets no second try; what else it holds, checkHolder
// decides.
func (t *tx) checkRenewable(ctx context.Context, r enroll.Reservation, known portal.Device) error {
	if r.RenewFrom == 0 {
		return nil
	}
	held := r.Renews != (ca.Serial{})
	if held {
		known.FormerEnds = time.Time{}
	}
	if err := known.Renewable(r.Requested, r.RenewFrom); err != nil || held {
		return err
	}
	var first, last sql.NullInt64
	err := t.One(ctx, `SELECT not_before, not_after FROM certificates
		WHERE device_id = $1 AND der IS NULL AND revoked_at IS NULL AND requested_at > $2 ORDER BY requested_at DESC LIMIT 1`,
		[]any{string(known.ID), r.Requested.Add(-enroll.ReservationLife).UnixMilli()}, &first, &last)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("looking for a renewal under way: %w", err)
	}
	next := portal.Device{Certificate: portal.Certificate{NotBefore: sqldb.TimeOf(first), NotAfter: sqldb.TimeOf(last)}}
	return &portal.Refusal{Reason: portal.RenewEarly, Value: known.Name, Until: next.RenewFrom(r.RenewFrom)}
}

// checkHolder checks the holder of a renewal again, under the lock of the person,
// because it may have been revoked since the first check. The holder must be the
// newest of its device. As it was used, it was delivered: what it superseded is
// revoked. So a thief with the key of a device gets at most two valid certificates.
func (t *tx) checkHolder(ctx context.Context, r enroll.Reservation) ([]record, error) {
	if r.Renews == (ca.Serial{}) {
		return nil, nil
	}
	all, err := t.heldOf(ctx, r.Device.ID)
	if err != nil {
		return nil, err
	}
	holds, more := false, false
	var former []ca.Serial
	for _, h := range all {
		switch {
		case !h.inForce(r.Requested):
		case h.serial == r.Renews && h.status == portal.Issued:
			holds = true
		case h.status == portal.Superseded && h.next == r.Renews.String():
			former = append(former, h.serial)
		default:
			more = true
		}
	}
	switch {
	case !holds:
		return nil, &portal.Denial{Why: portal.HolderEnded}
	case more:
		return nil, &portal.Denial{Why: portal.HolderEarly}
	}
	base := r.Entry
	works, err := t.noteWorks(ctx, r.Renews, portal.ProofRenewal, r.Requested, base)
	if err != nil {
		return nil, err
	}
	base.Action, base.Detail = audit.CertificateRevoked, map[string]string{"by": r.Renews.String()}
	ended, err := t.endAll(ctx, former, portal.Replaced, r.Requested, base)
	return append(records(works...), ended...), err
}

// endAll revokes certificates that are still in force.
func (t *tx) endAll(ctx context.Context, serials []ca.Serial, cause portal.Cause, at time.Time, base audit.Entry) ([]record, error) {
	var ended []record
	for _, serial := range serials {
		r, err := t.end(ctx, serial, cause, at, base)
		if err != nil {
			return nil, err
		}
		ended = append(ended, r)
	}
	return ended, nil
}

// overlap keeps the device's certificate valid beside the new one. Where one from
// before an earlier renewal is still valid, that renewal is being repeated: the
// device may not have received its certificate, so that one is revoked and the older
// one stays; but what the device fetched of that one ends only as its person agreed
// (enroll.ErrFileInUse). Certificates that were never fetched are revoked in any case.
func (t *tx) overlap(ctx context.Context, device portal.DeviceID, c enroll.Completion) ([]record, error) {
	all, err := t.heldOf(ctx, device)
	if err != nil {
		return nil, err
	}
	again := false
	for _, h := range all {
		again = again || h.status == portal.Superseded && h.inForce(c.At)
	}
	base := c.Entry
	base.At = c.At
	var followed []record
	for _, h := range all {
		r, err := record{}, error(nil)
		switch {
		case h.serial == c.Serial, h.status == portal.Superseded && !h.inForce(c.At):
			continue // the sweep revokes the latter
		case h.status == portal.Superseded:
			err = t.setSuccessor(ctx, h.serial, c.Serial)
		case again && h.status == portal.Issued && h.delivered && h.inForce(c.At) && h.serial != c.Ends:
			return nil, enroll.ErrFileInUse
		case h.status == portal.Pending, again, !h.delivered:
			base.Action, base.Detail = audit.CertificateRevoked, map[string]string{"by": c.Serial.String()}
			r, err = t.end(ctx, h.serial, portal.Replaced, c.At, base)
		default:
			r.Entry, err = t.supersedeOne(ctx, h, c, base)
		}
		if err != nil {
			return nil, err
		}
		if r.Action != "" {
			followed = append(followed, r)
		}
	}
	return followed, nil
}

// setSuccessor records which certificate a superseded one waits for now.
func (t *tx) setSuccessor(ctx context.Context, serial, next ca.Serial) error {
	_, err := t.Exec(ctx, "UPDATE certificates SET superseded_by = $2 WHERE serial = $1 AND status = 'superseded'",
		serial.String(), next.String())
	if err != nil {
		return fmt.Errorf("noting successor of %s: %w", serial, err)
	}
	return nil
}

// supersedeOne sets the end of a superseded certificate: the end of the overlap, or
// its own where that is earlier. Its file can no longer be fetched.
func (t *tx) supersedeOne(ctx context.Context, h held, c enroll.Completion, base audit.Entry) (audit.Entry, error) {
	end := c.At.Add(c.Overlap)
	if h.notAfter.Before(end) {
		end = h.notAfter
	}
	// Of two files for one device only the newest can be fetched.
	_, err := t.Exec(ctx, "UPDATE pickups SET sealed_key = NULL, sealed_password = NULL WHERE serial = $1", h.serial.String())
	if err != nil {
		return audit.Entry{}, fmt.Errorf("closing file of %s: %w", h.serial, err)
	}
	return t.changeStatus(ctx, h.serial, audit.CertificateSuperseded, base, `UPDATE certificates
		SET status = 'superseded', ends_at = $2, superseded_by = $3 WHERE serial = $1 AND status = 'issued'
		RETURNING upn, device_id, person`, []any{h.serial.String(), end.UnixMilli(), c.Serial.String()},
		"by", c.Serial.String(), "until", end.UTC().Format(time.RFC3339))
}

// restore issues again what a certificate superseded that was never delivered.
func (t *tx) restore(ctx context.Context, lost ca.Serial, base audit.Entry) ([]audit.Entry, error) {
	waiting, err := t.supersededBy(ctx, lost)
	if err != nil {
		return nil, err
	}
	var entries []audit.Entry
	for _, serial := range waiting {
		entry, err := t.changeStatus(ctx, serial, audit.CertificateRestored, base, `UPDATE certificates
			SET status = 'issued', ends_at = NULL, superseded_by = NULL WHERE serial = $1 AND status = 'superseded'
			RETURNING upn, device_id, person`, []any{serial.String()}, "by", lost.String())
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// changeStatus gives one certificate another status, and returns the entry of that,
// with further details and its person.
func (t *tx) changeStatus(ctx context.Context, serial ca.Serial, action audit.Action, base audit.Entry,
	query string, args []any, facts ...string) (audit.Entry, error) {
	var upn string
	var device, person sql.NullString
	if err := t.One(ctx, query, args, &upn, &device, &person); err != nil {
		return audit.Entry{}, fmt.Errorf("changing %s to %s: %w", serial, action, err)
	}
	base.Action, base.Object, base.Person = action, serial.String(), person.String
	base.Detail = withDetail(nil, append(facts, "upn", upn, "device", device.String)...)
	return base, nil
}
