package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// Conditions of mismatches m that say that an account ended, or became protected.
const (
	accountMismatches   = `m.change IN ('gone', 'disabled', 'expired')`
	protectedMismatches = `m.change = 'protected'`
)

// UpdateMismatches changes the mismatches of a person's certificates to what the
// drift watch read, under the person's lock, and returns how many it set and
// removed; each has its audit entry. Certificates that ended since are left alone.
// An account mismatch begins when the person's first one did, and the first one ends
// the person's sessions.
func (db DriftRecords) UpdateMismatches(ctx context.Context, m drift.MismatchUpdate) (set, removed int, err error) {
	err = db.writeHeld(ctx, workWithin, "updating mismatches of "+string(m.Person), func(ctx context.Context, t *tx) error {
		set, removed = 0, 0
		if err := t.lockPerson(ctx, m.Person); err != nil {
			return err
		}
		began, err := t.mismatchBegan(ctx, m.Person, m.At, accountMismatches)
		if err != nil {
			return err
		}
		var entries []audit.Entry
		for _, c := range bySerial(m.Certificates) {
			more, err := t.updateMismatch(ctx, c, began, m)
			if err != nil {
				return err
			}
			entries = append(entries, more...)
		}
		ended := false
		for _, e := range entries {
			if e.Action == audit.MismatchResolved {
				removed++
				continue
			}
			set++
			ended = ended || drift.AccountEnded(portal.Change(e.Detail["change"]))
		}
		if ended && began.IsZero() {
			if err := t.endSessions(ctx, m.Person); err != nil {
				return err
			}
		}
		return t.append(ctx, entries...)
	})
	return set, removed, err
}

// bySerial sorts a copy: all transactions take row locks in the same order.
func bySerial(certificates []drift.Certificate) []drift.Certificate {
	return slices.SortedFunc(slices.Values(certificates), func(a, b drift.Certificate) int { return a.Serial.Compare(b.Serial) })
}

// mismatchBegan returns the beginning of the person's first mismatch of a condition; the
// zero time when there is none. Mismatches of expired certificates do not count.
func (t *tx) mismatchBegan(ctx context.Context, person portal.PersonID, now time.Time, condition string) (time.Time, error) {
	var since sql.NullInt64
	err := t.One(ctx, `SELECT min(m.since) FROM marks m JOIN certificates c ON c.serial = m.serial
		WHERE c.person = $1 AND c.not_after > $2 AND `+condition, []any{string(person), now.UnixMilli()}, &since)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading marks: %w", err)
	}
	return sqldb.TimeOf(since), nil
}

// updateMismatch changes the mismatches of one certificate, and returns the entries
// of that. An account mismatch that another one replaces ends without an entry, as
// the account did not come back.
func (t *tx) updateMismatch(ctx context.Context, c drift.Certificate, began time.Time, m drift.MismatchUpdate) ([]audit.Entry, error) {
	base, err := t.markEntry(ctx, c.Serial, m.Entry)
	if errors.Is(err, portal.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	standing, err := t.marks(ctx, c.Serial)
	if err != nil {
		return nil, err
	}
	var entries []audit.Entry
	stillEnded := false
	for _, wanted := range c.Mismatches {
		stillEnded = stillEnded || drift.AccountEnded(wanted.Change)
		since, found := standing[wanted.Change]
		delete(standing, wanted.Change)
		if found && !since.After(m.At) {
			continue
		}
		if err := t.setMismatch(ctx, c.Serial, wanted.Change, mismatchSince(wanted.Change, began, m.At)); err != nil {
			return nil, err
		}
		if !found {
			entries = append(entries, mismatchEntry(base, audit.MismatchFound, wanted.Change))
		}
	}
	for change := range standing {
		_, err := t.Exec(ctx, "DELETE FROM marks WHERE serial = $1 AND change = $2", c.Serial.String(), string(change))
		if err != nil {
			return nil, fmt.Errorf("removing mark of %s: %w", c.Serial, err)
		}
		if !drift.AccountEnded(change) || !stillEnded {
			entries = append(entries, mismatchEntry(base, audit.MismatchResolved, change))
		}
	}
	return entries, nil
}

// mismatchSince is when a new mismatch begins: with the account's first one, unless
// that has a time in the future, from a wrong clock.
func mismatchSince(change portal.Change, began, now time.Time) time.Time {
	if drift.AccountEnded(change) && !began.IsZero() && began.Before(now) {
		return began
	}
	return now
}

// markEntry makes what the entries about a certificate's mismatches share. Without a
// working certificate the error wraps portal.ErrNotFound.
func (t *tx) markEntry(ctx context.Context, serial ca.Serial, base audit.Entry) (audit.Entry, error) {
	var upn, sid string
	var person, device sql.NullString
	err := t.One(ctx, `SELECT upn, sid, person, device_id FROM certificates
		WHERE serial = $1 AND der IS NOT NULL AND revoked_at IS NULL`, []any{serial.String()}, &upn, &sid, &person, &device)
	if err != nil {
		return base, fmt.Errorf("finding certificate %s: %w", serial, err)
	}
	base.Object, base.Person = serial.String(), person.String
	base.Detail = withDetail(base.Detail, "upn", upn, "sid", sid, "device", device.String)
	return base, nil
}

func mismatchEntry(base audit.Entry, action audit.Action, change portal.Change) audit.Entry {
	base.Action = action
	base.Detail = withDetail(base.Detail, "change", string(change))
	return base
}

// marks reads the mismatches of a certificate, and since when they last.
func (t *tx) marks(ctx context.Context, serial ca.Serial) (map[portal.Change]time.Time, error) {
	standing := make(map[portal.Change]time.Time)
	err := t.All(ctx, "SELECT change, since FROM marks WHERE serial = $1", []any{serial.String()},
		func(rows *sql.Rows) error {
			var change portal.Change
			var since sql.NullInt64
			err := rows.Scan(&change, &since)
			standing[change] = sqldb.TimeOf(since)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading marks of %s: %w", serial, err)
	}
	return standing, nil
}

func (t *tx) setMismatch(ctx context.Context, serial ca.Serial, change portal.Change, since time.Time) error {
	_, err := t.Exec(ctx, `INSERT INTO marks (serial, change, since) VALUES ($1, $2, $3)
		ON CONFLICT (serial, change) DO UPDATE SET since = excluded.since`,
		serial.String(), string(change), since.UnixMilli())
	if err != nil {
		return fmt.Errorf("marking %s: %w", serial, err)
	}
	return nil
}

// endSessions ends all sessions of a person.
func (t *tx) endSessions(ctx context.Context, person portal.PersonID) error {
	_, err := t.Exec(ctx, "UPDATE sessions SET ended = $2, data = NULL WHERE person = $1 AND NOT ended", string(person), true)
	if err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	return nil
}
