package store

import (
	"context"
	"database/sql"
	"fmt"

	"certportal/ca"
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
