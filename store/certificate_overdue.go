package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// EndSuperseded revokes what renewals superseded, with cause Replaced: all of a
// device, or the named ones whose overlap is over. portal.ErrConflict says that the
// newest certificate of the device was not fetched yet, portal.ErrNotFound that the
// device does not exist.
func (db Enrolments) EndSuperseded(ctx context.Context, e enroll.Ending) ([]ca.Serial, error) {
	var ended []ca.Serial
	within := answerWithin
	if len(e.Serials) > fewSerials {
		within = workWithin
	}
	err := db.writeWithin(ctx, within, "ending superseded certificates", func(ctx context.Context, t *tx) (err error) {
		ended = nil
		if err := t.lockOwners(ctx, e.Serials); err != nil {
			return err
		}
		if err := t.lockOwner(ctx, e.Device); err != nil {
			return err
		}
		if ended, err = t.overdue(ctx, e.Serials, e.At); err != nil {
			return err
		}
		former, err := t.former(ctx, e.Device, e.At)
		if err != nil {
			return err
		}
		ended = sortedUnique(append(ended, former...))
		works, err := t.newestWorks(ctx, e)
		if err != nil {
			return err
		}
		all, err := t.endAll(ctx, ended, portal.Replaced, e.At, e.Entry)
		if err != nil {
			return err
		}
		return t.appendRecords(ctx, append(records(works...), all...)...)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// newestWorks records that the newest certificate of the device works.
func (t *tx) newestWorks(ctx context.Context, e enroll.Ending) ([]audit.Entry, error) {
	if e.Device == "" {
		return nil, nil
	}
	all, err := t.heldOf(ctx, e.Device)
	if err != nil {
		return nil, err
	}
	var entries []audit.Entry
	for _, h := range all {
		if h.status != portal.Issued || !h.delivered || !h.inForce(e.At) {
			continue
		}
		noted, err := t.noteWorks(ctx, h.serial, portal.ProofPerson, e.At, e.Entry)
		if err != nil {
			return nil, err
		}
		entries = append(entries, noted...)
	}
	return entries, nil
}

// successorArrived is the condition of a superseded certificate c that its successor
// is not waiting to be fetched: until then the device may have no other certificate.
const successorArrived = `NOT EXISTS (SELECT 1 FROM certificates n
	WHERE n.serial = c.superseded_by AND n.status = 'issued' AND n.delivered_at IS NULL)`

// overdue selects those that are superseded and whose overlap is over: one may have
// been restored since it was listed.
func (t *tx) overdue(ctx context.Context, serials []ca.Serial, now time.Time) ([]ca.Serial, error) {
	var due []ca.Serial
	for _, serial := range sortedUnique(serials) {
		err := t.All(ctx, "SELECT c.serial FROM certificates c WHERE c.serial = $1 AND c.status = 'superseded' AND c.ends_at <= $2 AND "+
			successorArrived, []any{serial.String(), now.UnixMilli()}, func(rows *sql.Rows) error { return scanSerial(rows, &due) })
		if err != nil {
			return nil, fmt.Errorf("reading end of %s: %w", serial, err)
		}
	}
	return due, nil
}

// former lists the superseded certificates that are still in force on a device.
func (t *tx) former(ctx context.Context, device portal.DeviceID, now time.Time) ([]ca.Serial, error) {
	if device == "" {
		return nil, nil
	}
	all, err := t.heldOf(ctx, device)
	if err != nil {
		return nil, err
	}
	var former []ca.Serial
	inUse := false
	for _, h := range all {
		if h.status == portal.Superseded && h.inForce(now) {
			former = append(former, h.serial)
		}
		inUse = inUse || h.status == portal.Issued && h.delivered
	}
	if len(former) > 0 && !inUse {
		return nil, fmt.Errorf("newest certificate of device %s was not fetched: %w", device, portal.ErrConflict)
	}
	return former, nil
}

// Overdue lists superseded certificates whose overlap is over and that would stay
// valid, oldest first. Those whose successor waits to be fetched are left out.
func (db Enrolments) Overdue(ctx context.Context, now time.Time, limit int) ([]ca.Serial, error) {
	var serials []ca.Serial
	err := db.All(ctx, `SELECT c.serial FROM certificates c
		WHERE c.ends_at IS NOT NULL AND c.revoked_at IS NULL AND c.not_after > c.ends_at AND c.ends_at <= $1 AND `+successorArrived+`
		ORDER BY c.ends_at LIMIT $2`,
		[]any{now.UnixMilli(), limit}, func(rows *sql.Rows) error { return scanSerial(rows, &serials) })
	if err != nil {
		return nil, fmt.Errorf("listing overdue certificates: %w", err)
	}
	return serials, nil
}
