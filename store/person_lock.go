package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"certportal/ca"
	"certportal/internal/portal"
)

// lockPerson makes other transactions wait that change what the person has. It
// creates the person's row when there is none.
func (t *tx) lockPerson(ctx context.Context, person portal.PersonID) error {
	_, err := t.Exec(ctx, `INSERT INTO people (id, changes) VALUES ($1, 1)
		ON CONFLICT (id) DO UPDATE SET changes = people.changes + 1`, string(person))
	if err != nil {
		return fmt.Errorf("locking person: %w", err)
	}
	return nil
}

// lockOwners locks the people of certificates, in the order of their ids.
func (t *tx) lockOwners(ctx context.Context, serials []ca.Serial) error {
	owners := make(map[portal.PersonID]bool)
	for _, serial := range serials {
		err := t.All(ctx, "SELECT person FROM certificates WHERE serial = $1 AND person IS NOT NULL",
			[]any{serial.String()}, func(rows *sql.Rows) error {
				var person portal.PersonID
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
func (t *tx) lockOwner(ctx context.Context, device portal.DeviceID) error {
	if device == "" {
		return nil
	}
	var person portal.PersonID
	if err := t.One(ctx, "SELECT person FROM devices WHERE id = $1", []any{string(device)}, &person); err != nil {
		return fmt.Errorf("finding owner of device %s: %w", device, err)
	}
	return t.lockPerson(ctx, person)
}

// sortedUnique sorts serials and drops duplicates: all transactions take row locks
// in the same order, so that two revocations do not deadlock.
func sortedUnique(serials []ca.Serial) []ca.Serial {
	sorted := slices.SortedFunc(slices.Values(serials), ca.Serial.Compare)
	return slices.Compact(sorted)
}
