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

// DeviceNames returns the names of devices of the person, removed ones included, by their
// ids and by the serials of their certificates, as far as there are such.
func (db Enrolments) DeviceNames(ctx context.Context, person portal.PersonID, objects []string) (map[string]string, error) {
	names := make(map[string]string)
	args, among := []any{string(person)}, ""
	for _, object := range objects {
		if sqldb.Storable(object) {
			args = append(args, object)
			among += fmt.Sprintf(", $%d", len(args))
		}
	}
	if among == "" || !sqldb.Storable(string(person)) {
		return names, nil
	}
	err := db.All(ctx, `SELECT d.id, d.name FROM devices d WHERE d.person = $1 AND d.id IN (`+among[2:]+`)
		UNION ALL SELECT c.serial, d.name FROM certificates c JOIN devices d ON d.id = c.device_id
		WHERE d.person = $1 AND c.serial IN (`+among[2:]+`)`, args, func(rows *sql.Rows) error {
		var object, name string
		err := rows.Scan(&object, &name)
		names[object] = name
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading names of devices of %q: %w", person, err)
	}
	return names, nil
}
