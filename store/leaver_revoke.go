package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
)

// RevokeLeaver revokes all certificates of a person whose account ended or became
// protected, pending ones included, and returns their serials. It does nothing when the
// person has no such mismatch, or none that began at Due or before: another watch was
// quicker, or saw the person come back. The details cause, upn, device and since are
// added to the entries.
func (db DriftRecords) RevokeLeaver(ctx context.Context, d drift.Leaver) ([]ca.Serial, error) {
	var ended []ca.Serial
	err := db.writeHeld(ctx, workWithin, "ending certificates of "+string(d.Person), func(ctx context.Context, t *tx) error {
		ended = nil
		if err := t.lockPerson(ctx, d.Person); err != nil {
			return err
		}
		condition := accountMismatches
		if d.Cause == portal.Privileged {
			condition = protectedMismatches
		}
		since, err := t.mismatchBegan(ctx, d.Person, d.At, condition)
		if err != nil || since.IsZero() || since.After(d.Due) {
			return err
		}
		if ended, err = t.heldBy(ctx, d.Person, d.At); err != nil {
			return err
		}
		base := d.Entry
		base.Action = audit.CertificateRevoked
		base.Detail = withDetail(base.Detail, "since", since.Format(time.RFC3339))
		var all []record
		for _, serial := range ended {
			r, err := t.end(ctx, serial, d.Cause, d.At, base)
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		if err := t.recordLeaver(ctx, d, since); err != nil {
			return err
		}
		return t.appendRecords(ctx, all...)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// heldBy lists a person's certificates that are pending or in force, in the order of
// row locks.
func (t *tx) heldBy(ctx context.Context, person portal.PersonID, now time.Time) ([]ca.Serial, error) {
	var serials []ca.Serial
	err := t.All(ctx, `SELECT serial FROM certificates
		WHERE person = $1 AND revoked_at IS NULL AND not_after > $2 AND kind = 'user' ORDER BY serial`,
		[]any{string(person), now.UnixMilli()}, func(rows *sql.Rows) error { return scanSerial(rows, &serials) })
	if err != nil {
		return nil, fmt.Errorf("listing certificates: %w", err)
	}
	return sortedUnique(serials), nil
}

// recordLeaver records that the watch revoked a person's certificates, and ends their
// sessions if their account ended: they may have signed in again since the first
// mismatch.
func (t *tx) recordLeaver(ctx context.Context, d drift.Leaver, since time.Time) error {
	if err := t.recordRevoked(ctx, d.Person, since, d.At); err != nil || d.Cause != portal.Left {
		return err
	}
	return t.endSessions(ctx, d.Person)
}

// recordRevoked records that the watch revoked certificates of a person, who counts
// among those who changed.
func (t *tx) recordRevoked(ctx context.Context, person portal.PersonID, since, at time.Time) error {
	_, err := t.Exec(ctx, `INSERT INTO departures (person, since, ended_at) VALUES ($1, $2, $3)
		ON CONFLICT (person) DO UPDATE SET since = excluded.since, ended_at = excluded.ended_at`,
		string(person), since.UnixMilli(), at.UnixMilli())
	if err != nil {
		return fmt.Errorf("recording leaver: %w", err)
	}
	return nil
}
