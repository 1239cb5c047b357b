package store

import (
	"context"
	"database/sql"
	"fmt"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// lastRune ends the range of names with a common beginning.
const lastRune = "\U0010ffff"

// FindDevices finds devices that were not removed, by the beginning of the name or by
// the whole serial of a certificate, as people write serials: with spaces, colons
// and 0x, in either case. Of the devices only id, person, name and platform count.
func (db Search) FindDevices(ctx context.Context, query string, limit int) ([]portal.Device, error) {
	if !sqldb.Storable(query) {
		return nil, nil
	}
	var found []portal.Device
	scan := func(rows *sql.Rows) error {
		var d deviceRow
		err := rows.Scan(d.fields()...)
		found = append(found, d.value())
		return err
	}
	key := NameKey(query)
	err := db.All(ctx, `SELECT `+deviceColumns+` FROM devices d
		WHERE d.name_key >= $1 AND d.name_key < $2 AND d.removed_at IS NULL ORDER BY d.name_key, d.id LIMIT $3`,
		[]any{key, key + lastRune, limit}, scan)
	serial, notOne := ca.ParseSerial(query)
	if err == nil && notOne == nil {
		err = db.All(ctx, `SELECT `+deviceColumns+` FROM certificates c JOIN devices d ON d.id = c.device_id
			WHERE c.serial = $1`, []any{serial.String()}, scan)
	}
	if err != nil {
		return nil, fmt.Errorf("finding devices: %w", err)
	}
	return found, nil
}

// EntriesAbout gives the newest ledger entries about a person, newest first: of all
// actions, or of those that are named.
func (db AuditLog) EntriesAbout(ctx context.Context, person portal.PersonID, limit int, named ...audit.Action) ([]audit.Entry, error) {
	if !sqldb.Storable(string(person)) {
		return nil, nil
	}
	args := []any{string(person), limit}
	among := ""
	for _, action := range named {
		args = append(args, string(action))
		among += fmt.Sprintf(", $%d", len(args))
	}
	if among != "" {
		among = " AND action IN (" + among[2:] + ")"
	}
	var entries []audit.Entry
	// The index holds the beginning of ids.
	err := db.All(ctx, `SELECT `+entryColumns+` FROM ledger
		WHERE substr(person, 1, 64) = substr($1, 1, 64) AND person = $1`+among+` ORDER BY seq DESC LIMIT $2`, args,
		func(rows *sql.Rows) error {
			e, err := scanEntry(rows)
			entries = append(entries, e)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading ledger about %q: %w", person, err)
	}
	return entries, nil
}
